#compdef mmm_control
# Completion of mmm_control for zsh: commands, and the hosts, roles and addresses of the conf.
local -a found
found=(${(f)"$(${words[1]} --complete ${words[2,CURRENT-1]} 2>/dev/null)"})
compadd -a found
