// Package kubernetes holds the one name of the SDK's root package that the provider mentions.
package kubernetes

import "reflect"

// UntypedArgs is an object of any kind as plain keys and values.
type UntypedArgs map[string]any

// ElementType makes it an input of a Pulumi resource.
func (UntypedArgs) ElementType() reflect.Type {
	return reflect.TypeFor[map[string]any]()
}
