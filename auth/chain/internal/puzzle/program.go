package puzzle

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// programText has a line for each program: a name, and the program in hex.
//
//go:embed programs.txt
var programText string

// programs are those programs by name, which keep their hashes. A program with another hash than
// the constant is a panic.
var programs = sync.OnceValue(func() map[string]*clvm.Node {
	want := map[string]merkle.Hash{"launcher": Launcher, "singleton": Singleton, "state": State,
		"delegation": Delegation, "writer": Writer, "standard": Standard, "cat": CAT}
	list := map[string]*clvm.Node{}
	for line := range strings.Lines(programText) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			panic("puzzle: program " + name + ": " + err.Error())
		}
		n, err := clvm.Parse(b, nil)
		if err != nil {
			panic("puzzle: program " + name + ": " + err.Error())
		}
		if found := merkle.Hash(n.TreeHash()); found != want[name] {
			panic(fmt.Sprintf("puzzle: program %s: want tree hash %v, found %v", name, want[name], found))
		}
		list[name] = n
	}
	return list
})

// Program returns the program of that name: launcher, singleton, state, delegation, writer,
// standard or cat. It panics for another name.
func Program(name string) *clvm.Node {
	n := programs()[name]
	if n == nil {
		panic("puzzle: no program " + name)
	}
	return n
}
