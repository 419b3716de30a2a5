# clawker's completions for bash: source <(clawker completions bash)
_clawker() {
    local line=${COMP_LINE:0:COMP_POINT} words here prefix found value
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    # Bash breaks words at : and =, and puts back only what stands behind the last of them.
    here=${words[-1]}
    prefix=
    [[ $here == *[:=]* ]] && prefix=${here%"${here##*[:=]}"}
    COMPREPLY=()
    while IFS= read -r found; do
        value=${found%%$'\t'*}
        COMPREPLY+=("${value#"$prefix"}")
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _clawker clawker
