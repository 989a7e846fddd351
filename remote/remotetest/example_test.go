package remotetest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// Test a Local against liars. Here it is the one in memory, with two liars.
func Example() {
	ctx := context.Background()
	world, err := remotetest.NewWorld(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, liar := range remotetest.Liars() {
		if liar.Name != "repackaged" && liar.Name != "stripped-signature" {
			continue
		}
		h, err := liar.Handler(ctx, world)
		if err != nil {
			fmt.Println(err)
			return
		}
		origin := remotetest.NewOrigin(h)
		client, err := origin.Client(world.Store, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		local := remotetest.NewMemory(world.Store, nil)
		_, err = remote.Clone(ctx, local, client, remote.Trust{Publisher: world.Publisher.PublicKey()})

		var refused *remote.VerificationError
		if errors.As(err, &refused) && refused.Check == liar.Clone.Check {
			fmt.Printf("%s (%s): refused by the check %q\n", liar.Name, liar.Lie, refused.Check)
		}
		client.Close()
		origin.Close()
	}
	// Output:
	// repackaged (the module carries the attacker's key, who signed the head): refused by the check "publisher"
	// stripped-signature (the head has no signature): refused by the check "head-signature"
}
