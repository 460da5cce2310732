// Command argocd-cache is what Argo CD keeps what it has rendered in: the Redis in memory that its own tests use. It listens on the address it is given.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "give the address to listen on, as 127.0.0.1:6379")
		os.Exit(2)
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		time.Sleep(time.Second)
		server.FastForward(time.Second) // it does not look at the clock by itself
	}
}
