module github.com/dig-network/digstore/internal/tools

go 1.25.0

require github.com/dig-network/digstore v0.0.0

replace github.com/dig-network/digstore => ../..
