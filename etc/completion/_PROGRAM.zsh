#compdef PROGRAM
# Completion of PROGRAM for zsh: its commands and options, and the names that its conf has.
local -a found
found=(${(f)"$(${words[1]} --complete ${words[2,CURRENT-1]} 2>/dev/null)"})
if (( $#found )); then
    compadd -a found
else
    _files
fi
