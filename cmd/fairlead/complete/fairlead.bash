# bash completion for fairlead, see `fairlead completion --help`
_fairlead() {
	local program=${COMP_WORDS[0]/#\~/$HOME} word=${COMP_WORDS[COMP_CWORD]} before= line
	case $word in
	=) word= ;;
	--*=*)
		before=${word%%=*}=
		word=${word#*=}
		;;
	esac
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files)
			compopt -o filenames 2>/dev/null
			while IFS= read -r line; do COMPREPLY+=("$before$line"); done < <(compgen -f -- "$word")
			;;
		:dirs)
			compopt -o filenames 2>/dev/null
			while IFS= read -r line; do COMPREPLY+=("$before$line"); done < <(compgen -d -- "$word")
			;;
		*) COMPREPLY+=("$before${line%%$'\t'*}") ;;
		esac
	done < <("$program" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _fairlead fairlead
