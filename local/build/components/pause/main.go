// Waits for a signal to end and reaps the processes that are re-parented to it. It holds a pod's namespaces (as the sandbox's only
// process) and a cluster's (as its first one): when it ends, the kernel ends every process in the same pid namespace.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for {
		for reaped := 1; reaped > 0; {
			reaped, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
		if <-signals != syscall.SIGCHLD {
			return
		}
	}
}
