// Bench measures the whole program: what a person waits for, as ratios
// against another thing done in the same run, and the peak memory of each
// process.
//
//	bench [-n RUNS] [-run REGEXP] DIR     DIR as mkdata wrote it
//	bench readall DIR                     the baseline of a first commit
//	bench fetch URL FILE                  the baseline of a clone
//	bench discard URL N AT-ONCE           signed readers of a store's head
//	bench discard-plain URL N             readers without a signature
//	bench serve-file FILE                 http.ServeFile as a process
//	bench get URL                         one request
//
// The two sides of a ratio take turns, A B A B …, and medians are compared,
// because machines differ and drift.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
)

func main() {
	runs := flag.Int("n", 5, "counted runs of each side")
	only := flag.String("run", "", "only the cases whose name matches this expression")
	flag.Parse()
	if err := bench(*runs, *only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(runs int, only string, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "readall":
		return readAll(args[1])
	case len(args) == 3 && args[0] == "fetch":
		return fetch(args[1], args[2])
	case len(args) == 4 && args[0] == "discard":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		atOnce, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return discard(args[1], n, atOnce)
	case len(args) == 3 && args[0] == "discard-plain":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return discardPlain(args[1], n)
	case len(args) == 2 && args[0] == "serve-file":
		return fileServer(args[1])
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	case len(args) != 1:
		return fmt.Errorf("usage: bench [-n RUNS] [-run REGEXP] DIR, where mkdata wrote DIR")
	}
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	l, err := newLab(args[0], runs)
	if err != nil {
		return err
	}
	defer l.close()
	for _, c := range cases {
		if !match.MatchString(c.name) {
			continue
		}
		if err := c.run(l); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}
