# Completion of gaovm for bash. Use it now and in every shell: add this line to ~/.bashrc
#     source <(gaovm completion bash)
# What can stand where gaovm itself says, by its hidden command __complete.
_gaovm() {
    local line=${COMP_LINE:0:$COMP_POINT} current before item files="" words=() found=()
    read -r -a words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then words+=(""); fi
    current=${words[${#words[@]} - 1]}
    # bash replaces only what stands after the last = or : of a word
    before=""
    if [[ $current == *[=:]* ]]; then before=${current%"${current##*[=:]}"}; fi
    COMPREPLY=()
    while IFS= read -r item; do
        case $item in
            :files) files=yes ;;
            :nospace) compopt -o nospace 2>/dev/null ;;
            *) item=${item%%$'\t'*}; COMPREPLY+=("${item#"$before"}") ;;
        esac
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    if [[ $files ]]; then
        while IFS= read -r item; do found+=("$item"); done \
            < <(compgen -f -- "${current#"$before"}")
        COMPREPLY+=("${found[@]}")
        compopt -o filenames 2>/dev/null
    fi
}
complete -F _gaovm gaovm
