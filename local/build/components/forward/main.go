// Carries TCP connections from listening sockets that it inherits to addresses that it dials: `forward 3=127.0.0.1:6443`
// accepts on file descriptor 3. A socket stays in the network namespace it was opened in: sockets opened outside and
// inherited by this program inside are a way in. Copying is the kernel's (splice).
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: forward FD=HOST:PORT ...")
	}
	for _, argument := range os.Args[1:] {
		number, target, _ := strings.Cut(argument, "=")
		fd, err := strconv.Atoi(number)
		if err != nil || target == "" {
			fail("not FD=HOST:PORT: " + argument)
		}
		listener, err := net.FileListener(os.NewFile(uintptr(fd), argument))
		if err != nil {
			fail(argument + ": " + err.Error())
		}
		go serve(listener, target)
	}
	select {}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(2)
}

func serve(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if err != nil { // out of file descriptors, for one: the next may succeed
			fmt.Fprintln(os.Stderr, target+": "+err.Error())
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go carry(client.(*net.TCPConn), target)
	}
}

func carry(client *net.TCPConn, target string) {
	defer client.Close()
	connection, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		copyHalf(client, server)
		close(answered)
	}()
	copyHalf(server, client)
	<-answered
}

func copyHalf(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil { // one side is gone: neither half can go on
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}
