exec 9<&-
__podlatch_n=@NONCE@
printf -v __podlatch_1 '\e]7717;%s;I;;\a' $__podlatch_n
printf -v __podlatch_2 '\e]7717;%s;N;;\a' $__podlatch_n
__podlatch_e() {
REPLY=${1:0:16384} REPLY=${REPLY//\\/"\\\\"}
[[ $REPLY == *[[:cntrl:]]* ]] || return 0
local i c
for i in 0{1..9} {0,1}{a..f} 1{0..9} 7f; do printf -v c "\x$i"; REPLY=${REPLY//"$c"/"\\x$i"}; done
}
__podlatch_c() {
set +exuv
local REPLY s f=u
s=$(HISTTIMEFORMAT= builtin history 1)
s=${s#"${s%%[0-9]*}"} s=${s#"${s%%[^0-9]*}"}
((HISTCMD==__podlatch_h+1)) && f=f
__podlatch_e "${s:2}"
printf '\e]7717;%s;C;%s;%s\a' "$__podlatch_n" $f "$REPLY"
}
__podlatch_p() {
local s=$? REPLY
local -
set +exuv
__podlatch_h=$HISTCMD
__podlatch_e "$PWD"
[[ -t 3 ]] && printf '\e]7717;%s;P;%s;%s\a' "$__podlatch_n" $s "$REPLY" >&3
return $s
}
__podlatch_q() {
local s=$? v
local -
set +exuv
if shopt -q promptvars; then
[[ $PS0 == *__podlatch_c* ]] || PS0='$({ __podlatch_c; } 2>/dev/null)'$PS0
for v in 1 2; do [[ $PS1$PS2 == *__podlatch_$v* ]] || eval "PS$v"+="'\[\${__podlatch_$v-}\]'"; done
fi
return $s
}
[[ -r ~/.bashrc ]] && . ~/.bashrc
__podlatch_v=$((BASH_VERSINFO[0]*100+BASH_VERSINFO[1]))
if ((__podlatch_v>=501)); then PROMPT_COMMAND=('{ __podlatch_p; } 3>&2 2>/dev/null' "${PROMPT_COMMAND[@]}" '{ __podlatch_q; } 2>/dev/null')
elif ((__podlatch_v>=404)); then PROMPT_COMMAND='{ __podlatch_p; } 3>&2 2>/dev/null'$'\n'$PROMPT_COMMAND$'\n''{ __podlatch_q; } 2>/dev/null'; fi
unset __podlatch_v
