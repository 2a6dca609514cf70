// SPDX-License-Identifier: MIT
//
// The workloads of tasks.lua and server.lua in Go.
//
//	go WORKLOAD TASKS ROUNDS    prints what tasks.lua prints
//	go server                   prints three ports, as server.lua does
package main

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// cpu is the processor time used so far.
func cpu() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	check(err)
	var all, pages int
	fmt.Sscan(string(text), &all, &pages)
	return float64(pages * os.Getpagesize())
}

// cost prints the processor time of work per operation.
func cost(operations int, work func()) {
	start := cpu()
	work()
	fmt.Println(float64((cpu() - start).Nanoseconds()) / float64(operations))
}

// together runs f in count goroutines and waits for all.
func together(count int, f func()) {
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			defer all.Done()
			f()
		}()
	}
	all.Wait()
}

func channel(producers, each, limit int) {
	values := make(chan int, limit)
	sum := 0
	cost(producers*each, func() {
		var all sync.WaitGroup
		all.Add(1)
		go func() {
			together(producers, func() {
				for i := 1; i <= each; i++ {
					values <- i
				}
			})
			all.Done()
		}()
		for i := 0; i < producers*each; i++ {
			sum += <-values
		}
		all.Wait()
	})
	if sum != producers*each*(each+1)/2 {
		panic("values are missing")
	}
}

// sleepers starts goroutines that sleep until the context is cancelled.
func sleepers(ctx context.Context, count int) (ended *sync.WaitGroup) {
	var asleep sync.WaitGroup
	ended = new(sync.WaitGroup)
	asleep.Add(count)
	ended.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			defer ended.Done()
			timer := time.NewTimer(1000 * time.Second)
			defer timer.Stop()
			asleep.Done()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}()
	}
	asleep.Wait()
	runtime.Gosched()
	return ended
}

func scopes(ctx context.Context, depth int) {
	if depth == 0 {
		runtime.Gosched()
		check(ctx.Err())
		return
	}
	inner, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	scopes(inner, depth-1)
}

func deep(depth, rounds int) {
	cost(depth*rounds, func() {
		for i := 0; i < rounds; i++ {
			scopes(context.Background(), depth)
		}
	})
}

var workloads = map[string]func(tasks, rounds int){
	"checkpoint": func(tasks, rounds int) {
		cost(tasks*rounds, func() {
			together(tasks, func() {
				for i := 0; i < rounds; i++ {
					runtime.Gosched()
				}
			})
		})
	},
	"spawn": func(tasks, rounds int) {
		cost(tasks*rounds, func() {
			for i := 0; i < rounds; i++ {
				together(tasks, func() {})
			}
		})
	},
	"sleep": func(tasks, _ int) {
		start := time.Now()
		together(tasks, func() {
			time.Sleep(time.Duration(rand.Float64() * 1e8))
		})
		fmt.Println(time.Since(start).Seconds())
	},
	"sleep_mem": func(tasks, _ int) {
		before := resident()
		for i := 0; i < tasks; i++ {
			go time.Sleep(1000 * time.Second)
		}
		time.Sleep(200 * time.Millisecond)
		fmt.Println((resident() - before) / float64(tasks))
	},
	"cancel_wide": func(tasks, _ int) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := sleepers(ctx, tasks)
		cost(tasks, func() {
			cancel()
			ended.Wait()
		})
	},
	"channel0":    func(tasks, rounds int) { channel(tasks, rounds, 0) },
	"channel1024": func(tasks, rounds int) { channel(tasks, rounds, 1024) },
	"fan":         func(tasks, rounds int) { channel(tasks, rounds, 0) },
	"timeout":     deep,
	"cancel_deep": deep,
	"startup":     func(int, int) {},
}

func echo(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, 65536)
	for {
		n, err := c.Read(buffer)
		if err == nil {
			_, err = c.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

func send(c net.Conn) {
	defer c.Close()
	chunk := make([]byte, 65536)
	for {
		if _, err := c.Write(chunk); err != nil {
			return
		}
	}
}

func serve(handle func(net.Conn)) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		for {
			c, err := listener.Accept()
			check(err)
			go handle(c)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func main() {
	if os.Args[1] == "server" {
		fmt.Println(serve(echo), serve(send), 0)
		select {}
	}
	tasks, err := strconv.Atoi(os.Args[2])
	check(err)
	rounds, err := strconv.Atoi(os.Args[3])
	check(err)
	workloads[os.Args[1]](tasks, rounds)
}
