# clawker's completions for fish: clawker completions fish | source
function __clawker_complete
    set -l current (commandline -ct)
    set -l words (commandline -opc) "$current"
    set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if test (count $found) -eq 0
        __fish_complete_path "$current"
    else
        printf '%s\n' $found
    end
end
complete -c clawker -f -a '(__clawker_complete)'
