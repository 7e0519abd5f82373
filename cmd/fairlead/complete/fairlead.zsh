#compdef fairlead
# zsh completion for fairlead, see `fairlead completion --help`
_fairlead() {
	local -a found
	local line kind= value
	for line in "${(@f)$(${words[1]} __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:*) kind=$line ;;
		*)
			value=${line%%$'\t'*}
			if [[ $line == *$'\t'* ]]; then
				found+=("${value//:/\\:}:${line#*$'\t'}")
			else
				found+=("${value//:/\\:}")
			fi
			;;
		esac
	done
	[[ ${words[CURRENT]} == --*=* ]] && compset -P 1 '*='
	case $kind in
	:files) _files ;;
	:dirs) _files -/ ;;
	*) _describe fairlead found ;;
	esac
}
if [[ ${funcstack[1]} == _fairlead ]]; then
	_fairlead "$@"
else
	compdef _fairlead fairlead
fi
