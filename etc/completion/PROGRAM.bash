# Completion of PROGRAM for bash: its commands and options, and the names that its conf has.
_PROGRAM() {
    local line="${COMP_LINE:0:COMP_POINT}" words current
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    mapfile -t COMPREPLY < <(
        compgen -W "$("${words[0]}" --complete "${words[@]:1:${#words[@]}-2}" 2>/dev/null)" -- "$current"
    )
    # For readline a word begins behind each of these: it replaces only what follows the last one.
    COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*[@:=]}"}"}")
}
complete -o default -F _PROGRAM PROGRAM
