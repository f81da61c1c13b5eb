package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/mikefarah/yq/v4/pkg/yqlib"
	logging "gopkg.in/op/go-logging.v1"
)

// eval evaluates an expression on each document of the input.
func eval(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("eval", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	inFormat := flags.String("in", "yaml", "")
	outFormat := flags.String("out", "yaml", "")
	indent := flags.Int("indent", 2, "")
	color := flags.Bool("color", false, "")
	text := flags.Bool("text", false, "keep the quotes of a text")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("eval takes one expression")
	}
	logging.SetLevel(logging.ERROR, "")
	yqlib.ConfiguredSecurityPreferences.DisableEnvOps = true
	yqlib.ConfiguredSecurityPreferences.DisableFileOps = true
	yqlib.InitExpressionParser()
	data, err := input(in)
	if err != nil {
		return err
	}
	node, err := yqlib.ExpressionParser.ParseExpression(flags.Arg(0))
	if err != nil {
		return err
	}
	encoder, err := encoderOf(*outFormat, *indent, *color, !*text)
	if err != nil {
		return err
	}
	decoder, err := decoderOf(*inFormat)
	if err != nil {
		return err
	}
	printer := yqlib.NewPrinter(encoder, yqlib.NewSinglePrinterWriter(out))
	_, err = yqlib.NewStreamEvaluator().Evaluate("", bytes.NewReader(data), node, printer, decoder)
	return err
}

func encoderOf(format string, indent int, color, unwrap bool) (yqlib.Encoder, error) {
	switch format {
	case "json":
		return yqlib.NewJSONEncoder(yqlib.JsonPreferences{
			Indent: indent, ColorsEnabled: color, UnwrapScalar: unwrap,
		}), nil
	case "yaml":
		preferences := yqlib.NewDefaultYamlPreferences()
		preferences.Indent, preferences.ColorsEnabled = indent, color
		preferences.UnwrapScalar = unwrap
		return yqlib.NewYamlEncoder(preferences), nil
	}
	return nil, fmt.Errorf("unknown format %q", format)
}

func decoderOf(format string) (yqlib.Decoder, error) {
	switch format {
	case "json":
		return yqlib.NewJSONDecoder(), nil
	case "yaml":
		return yqlib.NewYamlDecoder(yqlib.NewDefaultYamlPreferences()), nil
	}
	return nil, fmt.Errorf("unknown format %q", format)
}
