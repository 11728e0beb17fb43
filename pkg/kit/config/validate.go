package config

import (
	"errors"
	"reflect"
	"strings"
)

// validate calls the Validate methods of the struct that v points to, of groups
// first. Where v's own method hides an anonymous struct's, or is that one
// promoted, the struct's is left to it.
func validate(v reflect.Value) error {
	own, hasOwn := v.Interface().(interface{ Validate() error })
	var errs []error
	for i := range v.Elem().NumField() {
		f := v.Elem().Type().Field(i)
		_, embed := f.Tag.Lookup("embed")
		if !f.IsExported() || f.Type.Kind() != reflect.Struct || !embed && !f.Anonymous || f.Anonymous && hasOwn {
			continue
		}
		err := validate(v.Elem().Field(i).Addr())
		if prefix := f.Tag.Get("prefix"); err != nil && prefix != "" {
			err = &groupError{camel(prefix), err}
		}
		errs = append(errs, err)
	}
	if hasOwn {
		errs = append(errs, own.Validate())
	}
	return errors.Join(errs...)
}

// groupError names the group that the mistakes of err belong to, on each line.
type groupError struct {
	group string
	err   error
}

func (e *groupError) Error() string {
	return e.group + ": " + strings.ReplaceAll(e.err.Error(), "\n", "\n"+e.group+": ")
}

func (e *groupError) Unwrap() error { return e.err }
