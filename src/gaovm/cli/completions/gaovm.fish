# Completion of gaovm for fish. Use it now and in every shell: write it where fish looks for it
#     gaovm completion fish > ~/.config/fish/completions/gaovm.fish
# What can stand where gaovm itself says, by its hidden command __complete.
function __gaovm_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for item in (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $item
            case ':files'
                __fish_complete_path $current
            case ':*'
                # how a candidate ends is fish's own matter
            case '*'
                echo $item
        end
    end
end
complete -c gaovm -f -a '(__gaovm_complete)'
