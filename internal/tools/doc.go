// Package tools is a module of its own, so that no application inherits what
// it needs: generators, test data, oracles and the measurements of the
// project.
//
//	go run -C internal/tools ./mkdata /tmp/data      test data D1, D2, D3
//	go run -C internal/tools ./bench /tmp/data       whole-process figures, as ratios
//	go test -C internal/tools ./...                  oracles
package tools
