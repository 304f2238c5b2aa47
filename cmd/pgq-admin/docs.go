package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// shells are those that completion is for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what completes commands in bash, zsh, fish or powershell",
		Long: `Print what makes a shell complete commands, flags and names.

  bash         pgq-admin completion bash > /etc/bash_completion.d/pgq-admin       (with the package bash-completion)
  zsh          pgq-admin completion zsh > "${fpath[1]}/_pgq-admin"
  fish         pgq-admin completion fish > ~/.config/fish/completions/pgq-admin.fish
  powershell   pgq-admin completion powershell | Out-String | Invoke-Expression   (in the profile)`,
		Example:   `  source <(pgq-admin completion bash)`,
		ValidArgs: shells,
		Args:      args(1, "SHELL: "+strings.Join(shells, ", ")),
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return usagef("SHELL must be one of %s, not %q", strings.Join(shells, ", "), args[0])
		},
	}
}

func docsCommand() *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Write the help of all commands as man pages or Markdown"}
	group(c)
	write := func(name, short string, tree func(root *cobra.Command, dir string) error) *cobra.Command {
		return &cobra.Command{
			Use:   name + " DIR",
			Short: short,
			Args:  args(1, "DIR"),
			RunE: func(c *cobra.Command, args []string) error {
				if err := os.MkdirAll(args[0], 0o755); err != nil {
					return err
				}
				root := c.Root()
				root.DisableAutoGenTag = true // the same input makes the same pages
				return tree(root, args[0])
			},
		}
	}
	c.AddCommand(
		write("man", "Write man pages into a directory", func(root *cobra.Command, dir string) error {
			return manTree(root, dir)
		}),
		write("markdown", "Write Markdown into a directory", doc.GenMarkdownTree))
	return c
}

// emptyDefault is the default of a flag that has none: --arg=[] and the like, which the help does not show either.
var emptyDefault = regexp.MustCompile(`(?m)^(.*\\fB--[a-z-]+\\fP)=(?:""|\[\]|0)?$`)

// manTree writes the man pages of a command and all below it, each with a title of its own.
func manTree(c *cobra.Command, dir string) error {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := manTree(sub, dir); err != nil {
			return err
		}
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "PGQ", Manual: "PGQ"}
	var page bytes.Buffer
	if err := doc.GenMan(c, header, &page); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".1"), emptyDefault.ReplaceAll(page.Bytes(), []byte("$1")), 0o644)
}
