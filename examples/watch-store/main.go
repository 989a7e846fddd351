// Watch-store follows a store on Chia's chain and pulls each new generation into a folder's
// workspace once enough blocks confirm it. What fails it says, and tries again at the next
// look. It ends at an interrupt.
//
//	watch-store [-chain URL | -node DIR] [-depth N] [-every D] http://127.0.0.1:8443/stores/ID DIR
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run(ctx, os.Args[1:], os.Stdout, nil)
}

// run watches until ctx ends or the store is destroyed. pause waits between two looks; nil: a
// timer does.
func run(ctx context.Context, args []string, out io.Writer,
	pause func(context.Context, time.Duration) error) {
	flags := flag.NewFlagSet("watch-store [flags] URL DIR", flag.ExitOnError)
	host := flags.String("chain", "https://api.coinset.org", "`URL` of a host that reads the chain")
	node := flags.String("node", "",
		"`folder` of this machine's full node, such as ~/.chia/mainnet: asked in place of -chain")
	depth := flags.Uint("depth", 32, "`blocks` that confirm a generation before it is pulled")
	every := flags.Duration("every", chain.DefaultWatchInterval, "pause between two looks")
	if flags.Parse(args); flags.NArg() != 2 {
		flags.Usage()
		os.Exit(2)
	}
	url, dir := must(remote.ParseURL(flags.Arg(0))), flags.Arg(1)
	source := must(chain.NewRPC(*host, nil))
	if *node != "" {
		source = must(chain.NewFullNode("", *node, nil))
	}
	anchor := chain.NewResolver(source, &chain.Options{MinDepth: uint32(*depth),
		SettledDepth: uint32(max(*depth, 32)),
		TipAge:       *every, Memory: chain.NewDir(filepath.Join(dir, ".chain"))})
	ws, err := digstore.Open(dir, nil)
	if err != nil { // none yet; anything else Init says again
		ws = must(digstore.Init(dir, nil))
	}
	defer ws.Close()
	store, err := ws.Store(url.Store.String())
	if err != nil {
		store = must(ws.Create(ctx, url.Store, nil))
	}
	origin := must(remote.NewClient(url, nil))
	defer origin.Close()
	held := func() merkle.Hash { return must(store.Head(context.Background())).Root }
	for tip, err := range anchor.Watch(ctx, url.Store,
		&chain.WatchOptions{Every: *every, Held: held, Pause: pause}) {
		if err == nil && tip.Status == chain.StatusMelted {
			fmt.Fprintf(out, "destroyed in block %d\n", tip.MeltedHeight)
		} else if err != nil {
			fmt.Fprintln(out, "look:", err)
		} else if report,
			err := remote.Pull(ctx, store, origin, remote.Trust{Anchor: anchor}); err != nil {
			fmt.Fprintln(out, "pull:", err)
		} else {
			fmt.Fprintf(out, "root %v, generation %d, %d blocks deep\n", report.Root, report.Generation,
				tip.Depth)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
