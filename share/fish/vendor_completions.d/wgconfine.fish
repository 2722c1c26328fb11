# Made from the command line itself by `make pages`, with shtab.
# Custom Preamble

function _wgconfine_tunnels
  for file in /etc/wgconfine/*.toml
    basename $file .toml
  end
end

function _wgconfine_services
  begin
    systemctl list-units --type=service --all --plain --no-legend --no-pager
    systemctl list-unit-files --type=service --no-legend --no-pager
  end 2>/dev/null | sed -n 's/ .*//; /@\.service$/d; /^wgconfine/d; /\.service$/p' | sort -u
end

# Confined once and not released since: one of both files is there.
function _wgconfine_confined
  for file in /etc/systemd/system/*.service.d/zz-wgconfine.conf \
      /usr/local/lib/systemd/system/*.service.d/zz-wgconfine-closed.conf
    basename (dirname $file) .d
  end | sort -u
end

# End Custom Preamble

# Parse current commandline:
# - _shtab_wgconfine_cmdpath=(sub)command path seen so far
# - _shtab_wgconfine_npos=number of positional arguments given after it
# - options are skipped based on _shtab_wgconfine_opts_with_value & _shtab_wgconfine_commands lists
function _shtab_wgconfine_scan
  set -g _shtab_wgconfine_cmdpath ''
  set -g _shtab_wgconfine_npos 0
  set -l tokens (commandline -opc)
  set -e tokens[1]
  set -l expect_value 0
  for t in $tokens
    if test $expect_value -eq 1
      set expect_value 0
      continue
    end
    switch "$t"
      case '--*=*'
        continue
      case '-*'
        if contains -- $t $_shtab_wgconfine_opts_with_value
          set expect_value 1
        end
        continue
      case '*'
        if test $_shtab_wgconfine_npos -eq 0
          set -l candidate $t
          if test -n "$_shtab_wgconfine_cmdpath"
            set candidate "$_shtab_wgconfine_cmdpath $t"
          end
          if contains -- $candidate $_shtab_wgconfine_commands
            set -g _shtab_wgconfine_cmdpath $candidate
            continue
          end
        end
        set -g _shtab_wgconfine_npos (math $_shtab_wgconfine_npos + 1)
    end
  end
end

# Condition helper: true if the current (sub)command path equals the given one.
function _shtab_wgconfine_using
  _shtab_wgconfine_scan
  test "$_shtab_wgconfine_cmdpath" = "$argv"
end

set -g _shtab_wgconfine_commands init confine check plan apply remove release render status verify doctor exec metrics logs
set -g _shtab_wgconfine_opts_with_value --compare --dns --lines --name --output --publish --python --root --service --since --textfile --until --user --watch -S -U -n

complete -c wgconfine -e
complete -c wgconfine -f

complete -c wgconfine -n _shtab_wgconfine_using -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n _shtab_wgconfine_using -l version -d 'show program'"'"'s version number and exit'
complete -c wgconfine -n _shtab_wgconfine_using -l debug -d 'show every program that is run, and internal errors'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a init -d 'make a tunnel from a provider'"'"'s .conf'
complete -c wgconfine -n '_shtab_wgconfine_using init' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using init' -l yes -d 'do not ask'
complete -c wgconfine -n '_shtab_wgconfine_using init' -l name -x -d 'of the tunnel'
complete -c wgconfine -n '_shtab_wgconfine_using init' -l service -xka "(_wgconfine_services)" -d 'what shall run inside; repeatable'
complete -c wgconfine -n '_shtab_wgconfine_using init' -l publish -x -d 'what this machine can connect to; repeatable'
complete -c wgconfine -n '_shtab_wgconfine_using init' -l dns -x -d 'instead of DNS in the .conf, or: none; repeatable'
complete -c wgconfine -n '_shtab_wgconfine_using init' -l in-place -d 'do not copy CONF to /etc/wgconfine'
complete -c wgconfine -n '_shtab_wgconfine_using init; and test $_shtab_wgconfine_npos -eq 0' -ka "(__fish_complete_path (commandline -ct))" -d 'the file for wg-quick'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a confine -d 'put services into a tunnel'
complete -c wgconfine -n '_shtab_wgconfine_using confine' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using confine' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using confine' -l python -xka "(__fish_complete_path (commandline -ct))" -d 'interpreter for the units of a tree'
complete -c wgconfine -n '_shtab_wgconfine_using confine' -l yes -d 'do not ask'
complete -c wgconfine -n '_shtab_wgconfine_using confine' -l publish -x -d 'a port of theirs; also alone'
complete -c wgconfine -n '_shtab_wgconfine_using confine; and test $_shtab_wgconfine_npos -eq 0' -ka "(_wgconfine_tunnels)" -d NAME
complete -c wgconfine -n '_shtab_wgconfine_using confine; and test $_shtab_wgconfine_npos -ge 1' -ka "(_wgconfine_services)" -d UNIT
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a check -d 'say all that is wrong in settings'
complete -c wgconfine -n '_shtab_wgconfine_using check' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using check' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using check; and test $_shtab_wgconfine_npos -ge 0' -ka "(__fish_complete_path (commandline -ct))" -d 'default: /etc/wgconfine/*.toml'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a plan -d 'say what apply would do'
complete -c wgconfine -n '_shtab_wgconfine_using plan' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using plan' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using plan' -l python -xka "(__fish_complete_path (commandline -ct))" -d 'interpreter for the units of a tree'
complete -c wgconfine -n '_shtab_wgconfine_using plan' -s v -l verbose -d 'show the text of each change'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a apply -d 'make the machine match the settings'
complete -c wgconfine -n '_shtab_wgconfine_using apply' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using apply' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using apply' -l python -xka "(__fish_complete_path (commandline -ct))" -d 'interpreter for the units of a tree'
complete -c wgconfine -n '_shtab_wgconfine_using apply' -l yes -d 'do not ask'
complete -c wgconfine -n '_shtab_wgconfine_using apply' -l dry-run -d 'the same as plan'
complete -c wgconfine -n '_shtab_wgconfine_using apply' -s v -l verbose -d 'say each file; with --dry-run its text'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a remove -d 'take a tunnel away'
complete -c wgconfine -n '_shtab_wgconfine_using remove' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using remove' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using remove' -l python -xka "(__fish_complete_path (commandline -ct))" -d 'interpreter for the units of a tree'
complete -c wgconfine -n '_shtab_wgconfine_using remove' -l yes -d 'do not ask'
complete -c wgconfine -n '_shtab_wgconfine_using remove' -l release -d 'let its services run in the open again'
complete -c wgconfine -n '_shtab_wgconfine_using remove' -l purge -d 'delete its settings too, and keys in /etc/wgconfine'
complete -c wgconfine -n '_shtab_wgconfine_using remove; and test $_shtab_wgconfine_npos -eq 0' -ka "(_wgconfine_tunnels)" -d NAME
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a release -d 'let services run in the open again'
complete -c wgconfine -n '_shtab_wgconfine_using release' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using release' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using release' -l python -xka "(__fish_complete_path (commandline -ct))" -d 'interpreter for the units of a tree'
complete -c wgconfine -n '_shtab_wgconfine_using release' -l yes -d 'do not ask'
complete -c wgconfine -n '_shtab_wgconfine_using release; and test $_shtab_wgconfine_npos -ge 0' -ka "(_wgconfine_confined)" -d UNIT
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a render -d 'write the files of apply somewhere else'
complete -c wgconfine -n '_shtab_wgconfine_using render' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using render' -l root -xka "(__fish_complete_directories)" -d 'work on the tree below DIR'
complete -c wgconfine -n '_shtab_wgconfine_using render' -l python -xka "(__fish_complete_path (commandline -ct))" -d 'interpreter for the units of a tree'
complete -c wgconfine -n '_shtab_wgconfine_using render' -l output -xka "(__fish_complete_directories)" -d DIR
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a status -d 'show tunnels and services as they are'
complete -c wgconfine -n '_shtab_wgconfine_using status' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using status' -l json -d 'print one JSON object'
complete -c wgconfine -n '_shtab_wgconfine_using status' -l watch -x -d 'again and again, every 2 s or as said, until Ctrl-C'
complete -c wgconfine -n '_shtab_wgconfine_using status; and test $_shtab_wgconfine_npos -ge 0' -ka "(_wgconfine_tunnels)" -d NAME
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a verify -d 'prove the confinement on the running system'
complete -c wgconfine -n '_shtab_wgconfine_using verify' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using verify' -l json -d 'print one JSON object'
complete -c wgconfine -n '_shtab_wgconfine_using verify' -s v -l verbose -d 'list every check'
complete -c wgconfine -n '_shtab_wgconfine_using verify' -l compare -x -d 'ask a site which address it sees, inside and outside'
complete -c wgconfine -n '_shtab_wgconfine_using verify; and test $_shtab_wgconfine_npos -ge 0' -ka "(_wgconfine_tunnels)" -d NAME
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a doctor -d 'say what of this machine will not work'
complete -c wgconfine -n '_shtab_wgconfine_using doctor' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using doctor' -l yes -d 'do not ask'
complete -c wgconfine -n '_shtab_wgconfine_using doctor' -l json -d 'print one JSON object'
complete -c wgconfine -n '_shtab_wgconfine_using doctor' -l fix -d 'mend what is wgconfine'"'"'s own'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a exec -d 'run a command, or a shell, inside a tunnel'
complete -c wgconfine -n '_shtab_wgconfine_using exec' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using exec' -l user -x -d 'as whom; default: who has used sudo'
complete -c wgconfine -n '_shtab_wgconfine_using exec; and test $_shtab_wgconfine_npos -eq 0' -ka "(_wgconfine_tunnels)" -d NAME
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a metrics -d 'print what a monitoring system should know'
complete -c wgconfine -n '_shtab_wgconfine_using metrics' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using metrics' -l textfile -xka "(__fish_complete_path (commandline -ct))" -d 'write it for node_exporter instead'
complete -c wgconfine -n '_shtab_wgconfine_using; and test $_shtab_wgconfine_npos -eq 0' -a logs -d 'show the journal of a tunnel and its services'
complete -c wgconfine -n '_shtab_wgconfine_using logs' -s h -l help -d 'show this help message and exit'
complete -c wgconfine -n '_shtab_wgconfine_using logs' -s f -l follow -d 'go on with what is new'
complete -c wgconfine -n '_shtab_wgconfine_using logs' -s n -l lines -x -d 'the last N lines alone, or all'
complete -c wgconfine -n '_shtab_wgconfine_using logs' -s b -l boot -d 'since the machine has started'
complete -c wgconfine -n '_shtab_wgconfine_using logs' -s S -l since -x -d 'as journalctl(1) has it'
complete -c wgconfine -n '_shtab_wgconfine_using logs' -s U -l until -x -d 'as journalctl(1) has it'
complete -c wgconfine -n '_shtab_wgconfine_using logs; and test $_shtab_wgconfine_npos -eq 0' -ka "(_wgconfine_tunnels)" -d NAME
