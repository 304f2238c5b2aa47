package main

import (
	"os"
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
			return doc.GenManTree(root, &doc.GenManHeader{Title: "PGQ-ADMIN", Section: "1", Source: "PGQ", Manual: "PGQ"}, dir)
		}),
		write("markdown", "Write Markdown into a directory", doc.GenMarkdownTree))
	return c
}
