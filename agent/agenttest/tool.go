package agenttest

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// toolName is the first argument of the program that is to be the tool.
const toolName = "agenttest-tool"

// MaybeTool does for a batch file what it was asked for and ends the process, when it was started as the suite's tool; otherwise it
// returns at once. Call it first thing in TestMain.
func MaybeTool() {
	if len(os.Args) < 3 || os.Args[1] != toolName {
		return
	}
	if err := tool(os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, toolName, err)
		os.Exit(9)
	}
	os.Exit(0)
}

func tool(verb string, args []string) error {
	number := func(i int) int { n, _ := strconv.Atoi(args[i]); return n }
	switch verb {
	case "sleep": // SECONDS
		time.Sleep(time.Duration(number(0)) * time.Second)
	case "until": // FILE, is there
		await(args[0])
	case "noise": // FILE, FILE: prints until the first is there, then makes the second
		for missing(args[0]) {
			fmt.Println("noise")
			time.Sleep(50 * time.Millisecond)
		}
		return os.WriteFile(args[1], nil, 0o600)
	case "lines": // FROM TO
		_, err := os.Stdout.WriteString(numbered(number(0), number(1)))
		return err
	case "fill": // BYTES
		_, err := os.Stdout.WriteString(strings.Repeat("x", number(0)))
		return err
	case "print":
		_, err := fmt.Print(strings.Join(args, "|"))
		return err
	case "stubborn": // to a request to end
		signal.Ignore()
		asked := make(chan os.Signal, 1)
		signal.Notify(asked)
		fmt.Println("up")
		for range asked {
			continue
		}
	case "polite": // to a request to end
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, os.Interrupt)
		fmt.Println("up")
		<-asked
		fmt.Println("bye")
		os.Exit(3)
	default:
		return fmt.Errorf("%q: no such thing", verb)
	}
	return nil
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return err != nil
}

func await(path string) {
	for missing(path) {
		time.Sleep(20 * time.Millisecond)
	}
}
