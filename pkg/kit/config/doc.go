// Package config fills a service's settings.
package config
