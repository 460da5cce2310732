package main

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

// byCEL evaluates an expression over the fields of an object, unchecked, with the options that Flux gives its health checks.
func byCEL(each check) (result, error) {
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Sets(),
		ext.Encoders(),
	)
	if err != nil {
		return result{}, err
	}
	parsed, issues := env.Parse(each.CEL)
	if issues != nil && issues.Err() != nil {
		return result{}, issues.Err()
	}
	program, err := env.Program(parsed)
	if err != nil {
		return result{}, err
	}
	value, _, err := program.Eval(each.Obj)
	if err != nil {
		return result{}, err
	}
	is, ok := value.(types.Bool)
	if !ok {
		return result{}, fmt.Errorf("it is %s, and no truth value", value.Type())
	}
	return result{Is: bool(is)}, nil
}
