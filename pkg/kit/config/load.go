package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// ErrDone: --help or --version was asked for and printed; there is nothing to run.
var ErrDone = errors.New("help or version was printed")

// Option changes how Load works.
type Option func(*loader)

// Version is what --version prints; the module's version by default.
func Version(v string) Option { return func(l *loader) { l.version = v } }

// Environ replaces the process's environment, in the form of os.Environ.
func Environ(env []string) Option { return func(l *loader) { l.environ = env } }

// Stdout is where --help and --version print; os.Stdout by default.
func Stdout(w io.Writer) Option { return func(l *loader) { l.stdout = w } }

type loader struct {
	name    string
	version string
	environ []string
	stdout  io.Writer

	settings  []setting
	elsewhere []Elsewhere
	texts     map[string]text // by flag: what the file and the environment say
	trees     []tree          // what the file says of its own settings
}

// text is a value before it is parsed, and where it comes from.
type text struct {
	value  string
	from   string // for errors that begin with it
	source string // for errors that name the setting themselves: gateway.yaml:3
}

// Load fills cfg, a pointer to a struct, for the program called name, described
// by about in its help. args are the arguments without the program's name. It
// then calls Validate() error of every named group and of cfg, where there is one.
// An anonymous struct's is called by whoever embeds it, where that has its own.
//
// What cfg holds before counts for file-only fields; the others start from their
// default tags.
//
// The error is ErrDone after --help and --version. Any other is worded for the
// person who starts the program, in one line per mistake. A line of Validate that begins with a setting's key in
// the file and a colon ends with the place where it was set. cfg may have a method Elsewhere() []Elsewhere.
func Load(name, about string, args []string, cfg any, opts ...Option) error {
	l := &loader{name: name, version: buildVersion(), environ: os.Environ(), stdout: os.Stdout, texts: map[string]text{}}
	for _, opt := range opts {
		opt(l)
	}
	if err := l.parse(about, args, cfg); err != nil {
		return err
	}
	return l.sources(validate(reflect.ValueOf(cfg)))
}

// parse is Load without Validate.
func (l *loader) parse(about string, args []string, cfg any) error {
	v := reflect.ValueOf(cfg)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("config: %T is no pointer to a struct", cfg)
	}
	var err error
	if l.settings, err = settings(v.Elem(), "", nil); err != nil {
		return fmt.Errorf("config: %T: %w", cfg, err)
	}
	if e, ok := cfg.(interface{ Elsewhere() []Elsewhere }); ok {
		l.elsewhere = e.Elsewhere()
	}

	parser, err := kong.New(&builtin{}, kong.Embed(cfg), kong.Name(l.name), kong.Description(about), kong.NoDefaultHelp(),
		kong.FlagNamer(kebab), kong.Writers(l.stdout, io.Discard), kong.Exit(func(int) {}),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 110}),
		kong.ValueFormatter(l.describe), kong.Help(l.help), kong.Bind(l),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)), kong.WithBeforeResolve(l.readSources))
	if err != nil {
		return fmt.Errorf("config: %T: %w", cfg, err)
	}
	ctx, err := parser.Parse(joinNegative(args))
	if err != nil {
		return l.explain(err)
	}
	l.given(ctx)
	return nil
}

// joinNegative writes "--keep -5m" as "--keep=-5m": kong takes what begins with a dash for a flag, and says so instead of
// what is wrong with the value. No flag begins with a digit.
func joinNegative(args []string) []string {
	var joined []string
	for _, arg := range args {
		last := len(joined) - 1
		if last >= 0 && strings.HasPrefix(joined[last], "--") && len(joined[last]) > 2 && !strings.Contains(joined[last], "=") && negative.MatchString(arg) {
			joined[last] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

var negative = regexp.MustCompile(`^-\.?[0-9]`)

// Exit ends the process as the error of Load demands: status 0 after help and
// version, else 2 with the error on standard error.
func Exit(err error) {
	if errors.Is(err, ErrDone) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

// builtin are the flags that every program has.
type builtin struct {
	Help    helpFlag    `short:"h" help:"Show this help."`
	Version versionFlag `help:"Show the version."`
	Config  string      `help:"Read settings from this YAML file." placeholder:"FILE"`
}

type helpFlag bool

// BeforeReset comes before any setting is read, so that help works in spite of errors.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	return errors.Join(ErrDone, ctx.PrintUsage(false))
}

type versionFlag bool

// BeforeReset prints the version.
func (versionFlag) BeforeReset(l *loader) error {
	_, err := fmt.Fprintln(l.stdout, l.name, l.version)
	return errors.Join(ErrDone, err)
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown version)"
}

// readSources reads file and environment once the flags say which file it is,
// and makes kong take their values where no flag is given.
func (l *loader) readSources(ctx *kong.Context) error {
	flags := map[string]*kong.Flag{}
	for _, f := range ctx.Flags() {
		flags[f.Name] = f
	}
	file, _ := ctx.FlagValue(flags["config"]).(string)
	env, err := l.readEnviron()
	if err != nil {
		return &sourceError{err}
	}
	if e, ok := env["config"]; ok && file == "" {
		file = e.value
	}
	if file != "" {
		if err := l.readFile(file); err != nil {
			return err
		}
	}
	for flag, t := range env {
		l.texts[flag] = t
	}
	var errs []error
	for _, s := range l.settings {
		if t, ok := l.texts[s.flag]; ok && !s.fileOnly() {
			errs = append(errs, check(flags[s.flag], t))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &sourceError{err}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		if t, ok := l.texts[f.Name]; ok {
			return t.value, nil
		}
		return nil, nil
	}))
	return nil
}

// explain removes kong's wrapping where the error is our own, and adds the way to the help.
func (l *loader) explain(err error) error {
	var own *sourceError
	switch {
	case errors.Is(err, ErrDone):
		return ErrDone
	case errors.As(err, &own):
		return own.error
	}
	if name, unknown := strings.CutPrefix(err.Error(), "unknown flag --"); unknown {
		name, _, _ = strings.Cut(name, ",")
		err = fmt.Errorf("unknown flag --%s%s", name, l.meantFlag(name))
	}
	return fmt.Errorf("%w (%s --help lists all settings)", err, l.name)
}

// meantFlag ends an error about an unknown flag with the one that was meant, which may be a switch turned off.
func (l *loader) meantFlag(name string) string {
	candidates := []string{"help", "version", "config"}
	for _, s := range l.settings {
		if s.fileOnly() {
			continue
		}
		candidates = append(candidates, s.flag)
		if _, off := s.tag.Lookup("negatable"); off {
			candidates = append(candidates, "no-"+s.flag)
		}
	}
	if n := nearest(name, candidates); n != "" {
		return fmt.Sprintf(", did you mean %q?", "--"+n)
	}
	return ""
}
