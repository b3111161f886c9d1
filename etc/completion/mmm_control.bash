# Completion of mmm_control for bash: commands, and the hosts, roles and addresses of the conf.
_mmm_control() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --complete "${words[@]}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _mmm_control mmm_control
