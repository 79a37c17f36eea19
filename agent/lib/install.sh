# `slmc-agent install`: the service and the timer that run a sync, as the bundles of the systemd target have them.
# shellcheck shell=sh

# Where those units look for the agent.
program_path=/usr/lib/slmc/slmc-agent

install_command() {
  units=$root/etc/systemd/system
  link_program || { say "the units look for the agent at $program_path, which cannot be written" && exit 1; }
  mkdir -p "$units" && put "$units/slmc-sync.service" <<END && put "$units/slmc-sync.timer" <<'END' || { say "cannot write $units" && exit 1; }
[Unit]
Description=slmc: bring this device to what Git says
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=$program_path sync
Nice=10
IOSchedulingClass=idle
END
[Unit]
Description=slmc: look at what Git says, and once after each start of the device

[Timer]
OnBootSec=30s
OnUnitInactiveSec=5min
# Devices do not ask all at once.
RandomizedDelaySec=60s

[Install]
WantedBy=timers.target
END
  systemctl daemon-reload && systemctl enable --now slmc-sync.timer || { say 'systemd refused slmc-sync.timer' && exit 1; }
  say "installed slmc-sync.service and slmc-sync.timer"
}

# The units of a bundle take the place of these: an agent that lies elsewhere would not be found any more.
link_program() {
  [ "$program" = "$(readlink -f "$root$program_path")" ] ||
    { mkdir -p "$root${program_path%/*}" && ln -sfn "${program#"$root"}" "$root$program_path"; }
}
