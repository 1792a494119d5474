package cli

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/nathants/s4"
)

// compressFlag is --compress: what to compress on the wire.
type compressFlag s4.Compression

// compressWords holds the word of the flag for each s4.Compression.
var compressWords = [...]string{
	s4.CompressAuto:   "auto",
	s4.CompressNever:  "never",
	s4.CompressAlways: "always",
}

func (c *compressFlag) String() string { return compressWords[*c] }

// Type is what pflag calls it.
func (c *compressFlag) Type() string { return "WHEN" }

// Set is given what the user wrote.
func (c *compressFlag) Set(text string) error {
	for i, word := range compressWords {
		if text == word {
			*c = compressFlag(i)
			return nil
		}
	}
	return errors.New("want auto, always or never")
}

// register adds the flag; what ends the sentence of its help.
func (c *compressFlag) register(fl *pflag.FlagSet, what string) {
	fl.Var(c, "compress", "compress "+what+": auto, always or never")
}
