// Command checks runs health checks of GitOps tools as these do: Argo CD's in its Lua, Flux's in its CEL.
//
// It reads a JSON list of {"lua", "obj"} and {"cel", "obj"}, and writes one of {"status", "message", "is", "error"}: of Lua status and
// message, of CEL whether it is so.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type check struct {
	Lua string         `json:"lua"`
	CEL string         `json:"cel"`
	Obj map[string]any `json:"obj"`
}

type result struct {
	Status  string `json:"status"`
	Message string `json:"message"`
	Is      bool   `json:"is"`
	Error   string `json:"error"`
}

func main() {
	var checks []check
	if err := json.NewDecoder(os.Stdin).Decode(&checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	found := make([]result, 0, len(checks))
	for _, each := range checks {
		run := byLua
		if each.CEL != "" {
			run = byCEL
		}
		made, err := run(each)
		if err != nil {
			made.Error = err.Error()
		}
		found = append(found, made)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		os.Exit(1)
	}
}
