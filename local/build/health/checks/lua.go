package main

import (
	"context"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// libraries are those that Argo CD opens: no strings, no files.
var libraries = []struct {
	name string
	open lua.LGFunction
}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}}

// byLua runs a script over an object, within the second that Argo CD gives it.
func byLua(each check) (result, error) {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for _, library := range libraries {
		l.Push(l.NewFunction(library.open))
		l.Push(lua.LString(library.name))
		l.Call(1, 0)
	}
	within, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.SetContext(within)
	l.SetGlobal("obj", value(l, each.Obj))
	if err := l.DoString(each.Lua); err != nil {
		return result{}, err
	}
	table, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		return result{}, fmt.Errorf("it returns %s, and no table", l.Get(-1).Type())
	}
	return result{Status: lua.LVAsString(table.RawGetString("status")), Message: lua.LVAsString(table.RawGetString("message"))}, nil
}

// value is JSON data as Lua sees it.
func value(l *lua.LState, given any) lua.LValue {
	switch it := given.(type) {
	case bool:
		return lua.LBool(it)
	case float64:
		return lua.LNumber(it)
	case string:
		return lua.LString(it)
	case []any:
		table := l.CreateTable(len(it), 0)
		for _, each := range it {
			table.Append(value(l, each))
		}
		return table
	case map[string]any:
		table := l.CreateTable(0, len(it))
		for name, each := range it {
			table.RawSetString(name, value(l, each))
		}
		return table
	}
	return lua.LNil
}
