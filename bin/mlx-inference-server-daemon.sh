#!/usr/bin/env bash
# Runs vlmd in the background, as the script of the same name of the Python server does: same commands, ports, files, exit codes.
#
#   bin/mlx-inference-server-daemon.sh start [options of vlmd serve]
#   bin/mlx-inference-server-daemon.sh stop | restart [options] | status | logs
#
# MLX_LOG_DIR    where mlx-inference-server.log is written (logs/ beside bin/)
# MLX_PID_FILE   /tmp/mlx-inference-server.pid
# MLX_ADMIN_PORT, VLMD_PORT and all other variables of docs/CONFIGURATION.md reach the server.
# VLMD_PROGRAM   the program (build/vlmd beside bin/, else vlmd on the PATH)
#
# Exit status: 0 when done (status: it runs and answers); 1 when not (start: it runs already; stop, status: it does not run); logs follows
# the log until it is interrupted.
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pid_file=${MLX_PID_FILE:-/tmp/mlx-inference-server.pid}
log_dir=${MLX_LOG_DIR:-$root/logs}
log_file=$log_dir/mlx-inference-server.log
port=${VLMD_PORT:-11440}
admin_port=${MLX_ADMIN_PORT:-${VLMD_ADMIN_PORT:-11441}}
# A little longer than the server takes for its running requests.
stop_seconds=$((${MLX_GRACEFUL_SHUTDOWN_TIMEOUT:-${VLMD_DRAIN_SECONDS:-20}} + 5))

if [ -t 1 ]; then
    green=$'\033[0;32m' yellow=$'\033[1;33m' red=$'\033[0;31m' plain=$'\033[0m'
else
    green='' yellow='' red='' plain=''
fi
info() { echo "${green}[INFO]${plain} $1"; }
warn() { echo "${yellow}[WARN]${plain} $1"; }
error() { echo "${red}[ERROR]${plain} $1" >&2; }

program() {
    if [ -n "${VLMD_PROGRAM:-}" ]; then
        echo "$VLMD_PROGRAM"
    elif [ -x "$root/build/vlmd" ]; then
        echo "$root/build/vlmd"
    elif [ -x "$root/bin/vlmd" ]; then
        echo "$root/bin/vlmd"
    else
        command -v vlmd
    fi
}

# The command line of a process; a bare system has no ps.
command_of() {
    if [ -r "/proc/$1/cmdline" ]; then
        tr '\0' ' ' <"/proc/$1/cmdline"
    else
        ps -p "$1" -o command= 2>/dev/null
    fi
}

# The process of the pid file, if it is one of ours and still vlmd: anybody may write into /tmp, and numbers are used again.
running_pid() {
    [ -f "$pid_file" ] && [ ! -L "$pid_file" ] && [ -O "$pid_file" ] || return 1
    local pid
    pid=$(head -c 20 "$pid_file")
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    command_of "$pid" | grep -q 'vlmd.* serve' || return 1
    echo "$pid"
}

answers() {
    curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$1$2"
}

# What the options say about the ports counts, as it does for the server.
read_ports() {
    while [ $# -gt 0 ]; do
        case $1 in
        --port=*) port=${1#*=} ;;
        --admin-port=*) admin_port=${1#*=} ;;
        --port) port=${2:-$port} ;;
        --admin-port) admin_port=${2:-$admin_port} ;;
        esac
        shift
    done
}

start_server() {
    local pid vlmd
    if pid=$(running_pid); then
        warn "Server already running (PID: $pid)"
        return 1
    fi
    vlmd=$(program)
    if [ -z "$vlmd" ] || [ ! -x "$vlmd" ]; then
        error "vlmd was not found: build it (bin/setup && make) or set VLMD_PROGRAM"
        return 1
    fi
    read_ports "$@"
    mkdir -p "$log_dir" || return 1
    rm -f "$pid_file"
    info "Starting inference server..."
    info "Log: $log_file"
    # Its log goes where it always went, and not into a file of its own beside it.
    (cd "$root" && exec env -u MLX_LOG_DIR nohup "$vlmd" serve "$@" >>"$log_file" 2>&1 </dev/null) &
    pid=$!
    (set -C && umask 077 && echo "$pid" >"$pid_file") || {
        error "cannot write $pid_file"
        kill "$pid" 2>/dev/null
        return 1
    }
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        if answers "$admin_port" /admin/health && running_pid >/dev/null; then
            info "Server started successfully (PID: $pid)"
            info "Main API: http://127.0.0.1:$port"
            info "Admin API: http://127.0.0.1:$admin_port"
            info "Tail logs: tail -f $log_file"
            info "Stop server: $0 stop"
            return 0
        fi
        sleep 0.1
    done
    error "Server failed to start! Check logs: $log_file"
    tail -n 3 "$log_file" >&2
    kill "$pid" 2>/dev/null
    rm -f "$pid_file"
    return 1
}

stop_server() {
    local pid
    info "Stopping server..."
    if ! pid=$(running_pid); then
        warn "Server is not running"
        return 1
    fi
    info "Sending SIGTERM to PID: $pid"
    kill -TERM "$pid" 2>/dev/null
    for _ in $(seq $((stop_seconds * 10))); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$pid" 2>/dev/null; then
        warn "Graceful shutdown timeout, force killing..."
        kill -KILL "$pid" 2>/dev/null
        sleep 1
    fi
    rm -f "$pid_file"
    info "Server stopped"
}

status_server() {
    local pid
    if ! pid=$(running_pid); then
        warn "Server is not running"
        return 1
    fi
    read_ports $(command_of "$pid")
    info "Server is running (PID: $pid)"
    command -v ps >/dev/null && ps -p "$pid" -o pid,ppid,%cpu,%mem,etime,command
    if answers "$port" /health; then
        info "Main API: ✓ Healthy"
    else
        warn "Main API: ✗ Not responding"
    fi
    if answers "$admin_port" /admin/health; then
        info "Admin API: ✓ Healthy"
    else
        warn "Admin API: ✗ Not responding"
    fi
}

show_logs() {
    if [ ! -f "$log_file" ]; then
        error "Log file not found: $log_file"
        return 1
    fi
    exec tail -f "$log_file"
}

command=${1:-}
[ $# -gt 0 ] && shift
case $command in
start) start_server "$@" ;;
stop) stop_server ;;
restart)
    stop_server || true
    start_server "$@"
    ;;
status) status_server ;;
logs) show_logs ;;
*)
    echo "Usage: $0 {start|stop|restart|status|logs}"
    exit 1
    ;;
esac
