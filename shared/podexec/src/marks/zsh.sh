exec 9<&-
if (( ${+PODLATCH_ZDOTDIR} )); then export ZDOTDIR=$PODLATCH_ZDOTDIR; else unset ZDOTDIR; fi
unset PODLATCH_ZDOTDIR
__podlatch_n=@NONCE@
__podlatch_e() {
emulate -L zsh
REPLY=${1[1,16384]} REPLY=${REPLY//\\/\\\\}
[[ $REPLY == *[[:cntrl:]]* ]] || return 0
local i c
for i in 0{1..9} {0,1}{a..f} 1{0..9} 7f; do printf -v c "\x$i"; REPLY=${REPLY//"$c"/"\\x$i"}; done
}
__podlatch_c() {
emulate -L zsh
local REPLY f=f
[[ -n $1 ]] || f=u
__podlatch_e "${1:-$3}"
[[ -t 1 ]] && printf '\e]7717;%s;C;%s;%s\a' "$__podlatch_n" $f "$REPLY"
}
__podlatch_p() {
local s=$?
emulate -L zsh
local REPLY
__podlatch_e "$PWD"
[[ -t 1 ]] && printf '\e]7717;%s;P;%s;%s\a' "$__podlatch_n" $s "$REPLY"
}
[[ -o interactive ]] && precmd_functions+=(__podlatch_p) preexec_functions+=(__podlatch_c)
[[ -r ${ZDOTDIR:-$HOME}/.zshenv ]] && source "${ZDOTDIR:-$HOME}/.zshenv"
