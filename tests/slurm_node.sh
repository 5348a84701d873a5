#!/usr/bin/env bash
# A Slurm of one node on loopback, without munge, systemd and cgroups: `slurm_node.sh FOLDER PROCESSORS` configures and
# starts it, with all of its files in FOLDER, and prints the configuration's path. It runs until the processes of
# FOLDER/*.pid end.
set -euo pipefail
folder=$(realpath "$1")
processors=$2
mkdir -p "$folder"/{state,spool}
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
name=$(hostname -s)
cat > "$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$(port)
SlurmdPort=$(port)
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
SlurmUser=$(id -un)
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
NodeName=$name NodeAddr=127.0.0.1 CPUs=$processors State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=10 State=UP
CONF
export SLURM_CONF="$folder/slurm.conf"
slurmctld
slurmd -N "$name"
for _ in $(seq 100); do
    if [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; then echo "$SLURM_CONF"; exit; fi
    sleep 0.1
done
cat "$folder"/*.log >&2
kill "$(cat "$folder/slurmd.pid")" "$(cat "$folder/slurmctld.pid")"
exit 1
