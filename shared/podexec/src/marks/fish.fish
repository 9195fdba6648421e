set -g __podlatch_n @NONCE@
function __podlatch_e
set -l l (string sub -l 16384 -- "$argv[1]")
set l (string replace -a '\\' '\\\\' -- $l)
if string match -qr '[\x01-\x1f\x7f]' -- $l
for i in 0(seq 9) 0{b,c,d,e,f} 1(seq 0 9) 1{a,b,c,d,e,f} 7f
set l (string replace -a -- (printf "\x$i") "\\x$i" $l)
end
end
string join '\x0a' -- $l
end
function __podlatch_c --on-event fish_preexec
test -t 1; and printf '\e]7717;%s;C;f;%s\a' $__podlatch_n (__podlatch_e "$argv[1]")
end
function __podlatch_p --on-event fish_prompt
set -l s $status
test -t 1; and printf '\e]7717;%s;P;%s;%s\a' $__podlatch_n $s (__podlatch_e "$PWD")
end
true
