package diskfs_test

import (
	"fmt"

	"github.com/dig-network/digstore/internal/diskfs"
)

func ExampleCrash() {
	disk := diskfs.NewCrash("/store")
	_ = diskfs.WriteFile(disk, "/store/head", []byte("generation 1"), 0o600)
	disk.StopAfter(3) // open and write succeed, the sync does not
	err := diskfs.WriteFile(disk, "/store/head", []byte("generation 2"), 0o600)
	fmt.Println(err != nil)

	found, _ := diskfs.ReadFile(disk.Recover(7), "/store/head", 100)
	fmt.Printf("%s\n", found)
	// Output:
	// true
	// generation 1
}
