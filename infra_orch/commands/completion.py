"""`infra-orch completion [SHELL]`: the script by which a shell completes commands, options and names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath

from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, nearest

# Where the shells keep the words of the line, and what asks for an answer, is the protocol of the command line library.
_BASH = """\
# Completion of infra-orch. For good: a line in ~/.bashrc
#   eval "$(infra-orch completion bash)"
_infra_orch_completion() {
    local word words=() at=0 number=0 line
    # bash makes three words of --unit=web; the library wants two.
    for word in "${COMP_WORDS[@]}"; do
        if [ "$word" != "=" ] || [ "$number" -eq 0 ]; then
            words+=("$word")
        elif [ "$number" -eq "$COMP_CWORD" ]; then
            words+=("")
        fi
        [ "$number" -eq "$COMP_CWORD" ] && at=$((${#words[@]} - 1))
        number=$((number + 1))
    done
    COMPREPLY=()
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("$line")
    done < <(IFS=$'\\n'; COMP_WORDS="${words[*]}" COMP_CWORD="$at" _INFRA_ORCH_COMPLETE=complete_bash "$1" 2>/dev/null)
}
complete -o default -F _infra_orch_completion infra-orch
"""
_ZSH = """\
#compdef infra-orch
# Completion of infra-orch. For good: this file as _infra-orch in a folder of $fpath, or after compinit in ~/.zshrc
#   eval "$(infra-orch completion zsh)"
_infra_orch_completion() {
    eval "$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _INFRA_ORCH_COMPLETE=complete_zsh infra-orch 2>/dev/null)"
}
if [ "${funcstack[1]}" = "_infra-orch" ]; then
    _infra_orch_completion "$@"
else
    compdef _infra_orch_completion infra-orch
fi
"""
_FISH = """\
# Completion of infra-orch. For good:
#   infra-orch completion fish > ~/.config/fish/completions/infra-orch.fish
function __infra_orch_completion
    set -lx _INFRA_ORCH_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION $argv[1]
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    infra-orch 2>/dev/null
end
complete --command infra-orch --no-files \\
    --condition "__infra_orch_completion is-args" --arguments "(__infra_orch_completion get-args)"
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_INSTALL = {
    "bash": """for good, a line in ~/.bashrc: eval "$(infra-orch completion bash)\"""",
    "zsh": """for good, a line in ~/.zshrc, after compinit: eval "$(infra-orch completion zsh)\"""",
    "fish": "for good: infra-orch completion fish > ~/.config/fish/completions/infra-orch.fish",
}


def completion(shell: str | None, console: Console, environment: Mapping[str, str] = os.environ) -> int:
    """Print the script for *shell*, by default the user's own. On a terminal, how it is installed is said, too.

    Raises UsageError for a shell that there is no script for.
    """
    wanted = shell or PurePath(environment.get("SHELL", "")).name
    if wanted not in SCRIPTS:
        known = ", ".join(SCRIPTS)
        if not shell:
            raise UsageError(f'which shell? SHELL="{environment.get("SHELL", "")}" is none of {known}', hint=_USAGE)
        raise UsageError(f'"{shell}" is none of {known}', hint=nearest(shell, SCRIPTS) or _USAGE)
    console.document(SCRIPTS[wanted].rstrip("\n"))
    if console.out.isatty():
        console.note(_INSTALL[wanted])
    return ExitCode.DONE


_USAGE = "infra-orch completion bash"
