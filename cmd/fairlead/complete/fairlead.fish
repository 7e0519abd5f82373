# fish completion for fairlead, see `fairlead completion --help`
function __fairlead_complete
	set -l words (commandline -opc)
	set -l word (commandline -ct)
	set -l before (string match -r -- '^--[^=]+=' "$word")
	for line in (command $words[1] __complete -- $words[2..-1] "$word" 2>/dev/null)
		switch $line
			case ':files'
				for path in (__fish_complete_path (string replace -- "$before" '' "$word"))
					echo "$before$path"
				end
			case ':dirs'
				for path in (__fish_complete_directories (string replace -- "$before" '' "$word"))
					echo "$before$path"
				end
			case '*'
				echo "$before$line"
		end
	end
end
complete -c fairlead -f -a '(__fairlead_complete)'
