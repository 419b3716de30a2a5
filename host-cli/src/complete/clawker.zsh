#compdef clawker
# clawker's completions for zsh: as _clawker in a folder of $fpath, or source <(clawker completions zsh)
_clawker() {
    local -a found described
    local one value
    found=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    for one in "${(@)found:#}"; do
        value=${one%%$'\t'*}
        described+=("${value//:/\\:}:${one#*$'\t'}")
    done
    if (( $#described )); then
        _describe -V clawker described
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _clawker ]]; then
    _clawker "$@"
else
    compdef _clawker clawker
fi
