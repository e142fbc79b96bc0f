// `poster top`: the running runs, redrawn on the terminal. Fills the state of top_view.hpp and owns the terminal.

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <process.hpp>
#include <records.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "recover.hpp"
#include "top_view.hpp"
#include <folding.hpp>

namespace poster {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostRuns = 500;
constexpr std::size_t kMostEnded = 20;
constexpr std::size_t kTailBytes = 8UL * 1024;
constexpr std::size_t kLogBytes = 512UL * 1024;
constexpr auto kRecoverEvery = 5s;
constexpr auto kSnapshot = 300ms; // between the two readings of a snapshot's CPU time

std::vector<std::string> folded(std::string_view bytes) {
    std::vector<std::string> lines;
    bool open = false;
    Folder folder(false, [&](const Folder::Line& line) {
        if (open)
            lines.back().append(line.text);
        else
            lines.emplace_back(line.text);
        open = !line.ended;
    });
    folder.feed(bytes);
    folder.finish();
    return lines;
}

std::string last_line_of(const fs::path& log) {
    auto lines = folded(read_tail(log, kTailBytes).value_or(""));
    auto line = std::find_if(lines.rbegin(), lines.rend(),
                             [](const std::string& it) { return it.find_first_not_of(" \t") != std::string::npos; });
    return line == lines.rend() ? std::string() : *line;
}

// CPU time of process trees, from one look to the next.
class Meter {
public:
    void read(TopRow& row, pid_t child) {
        std::uint64_t ticks = 0, memory = 0;
        std::vector<pid_t> tree = descendants(child);
        tree.push_back(child);
        for (pid_t pid : tree) {
            auto sample = sample_process(pid);
            if (!sample) continue;
            ticks += sample->cpu_ticks;
            memory += sample->resident_bytes;
        }
        auto now = Clock::now();
        auto before = readings_.find(row.id);
        if (before != readings_.end() && now > before->second.at && ticks >= before->second.ticks) {
            double seconds = std::chrono::duration<double>(now - before->second.at).count();
            row.cpu_percent = double(ticks - before->second.ticks) / double(::sysconf(_SC_CLK_TCK)) / seconds * 100;
        }
        readings_[row.id] = {now, ticks};
        row.memory_bytes = memory;
    }

private:
    struct Reading {
        Clock::time_point at;
        std::uint64_t ticks = 0;
    };
    std::map<std::string, Reading> readings_;
};

// What the callback `hardware` sampled last: the GPUs, and of another host all there is.
void read_sample(TopRow& row, const fs::path& attempt_dir, bool of_this_host) {
    auto lines = split(read_tail(attempt_dir / "hardware.jsonl", kTailBytes).value_or(""), '\n');
    if (lines.empty()) return;
    const json sample = json::parse(lines.back(), nullptr, false);
    if (!sample.is_object()) return;
    const json tree = sample.value("tree", json::object());
    if (!of_this_host) {
        row.cpu_percent = number_of(tree, "cpu_percent");
        if (auto bytes = number_of(tree, "rss_bytes")) row.memory_bytes = std::uint64_t(*bytes);
    }
    for (const auto& gpu : sample.value("gpus", json::array())) {
        if (auto used = number_of(gpu, "utilization_percent")) row.gpu_percent = row.gpu_percent.value_or(0) + *used;
        if (auto bytes = number_of(gpu, "memory_used_bytes"))
            row.gpu_memory_bytes = row.gpu_memory_bytes.value_or(0) + std::uint64_t(*bytes);
    }
}

class Observer {
public:
    explicit Observer(const std::optional<std::string>& store) : workspace_(open_workspace(store)) {}

    // False: there is no store.
    bool look(TopState& state) {
        auto now = Clock::now();
        if (!index_) {
            if (!workspace_.store.exists()) return false;
            index_ = std::make_unique<Index>(workspace_.store);
        }
        if (now >= recover_at_) {
            recover_abandoned_runs(workspace_, 0ms);
            recover_at_ = now + kRecoverEvery;
        }
        index_->refresh();
        state.rows.clear();
        add_rows(state, {"running", "queued"}, kMostRuns);
        if (state.with_ended)
            add_rows(state, {"finished", "failed", "killed", "timeout", "preempted", "lost"}, kMostEnded);
        keep_selection(state);
        state.title = title(state);
        if (state.view == TopState::View::log) set_log(state, log_of(state.selected));
        return true;
    }
    const Workspace& workspace() const { return workspace_; }

private:
    void add_rows(TopState& state, std::vector<std::string> statuses, std::size_t limit) {
        RunFilter filter;
        filter.statuses = std::move(statuses);
        filter.limit = limit;
        for (const auto& run : index_->list(filter)) state.rows.push_back(row_of(run));
    }

    TopRow row_of(const RunRow& run) {
        TopRow row;
        row.id = run.id;
        row.name = run.name;
        row.host = run.host;
        row.status = run.status;
        row.seconds = run.duration_s;
        if (run.status == Status::running && run.started_at)
            row.seconds = double((wall_now() - *run.started_at).count()) / 1000;
        const fs::path dir = workspace_.store.attempt_dir(run.id, run.attempt);
        if (run.status == Status::running) {
            const bool here = run.host == host_name();
            const json attempt = read_json(dir / "attempt.json").value_or(json::object());
            const pid_t child = child_of(attempt).pid;
            if (here && child > 0) meter_.read(row, child);
            read_sample(row, dir, here);
        }
        row.last_line = last_line_of(dir / "output.log");
        return row;
    }

    std::vector<std::string> log_of(const std::string& id) const {
        const int newest = newest_attempt(workspace_.store.run_dir(id));
        return folded(read_tail(workspace_.store.attempt_dir(id, newest) / "output.log", kLogBytes).value_or(""));
    }

    std::string title(const TopState& state) const {
        std::size_t running = 0, queued = 0;
        for (const auto& row : state.rows) {
            if (row.status == Status::running) ++running;
            if (row.status == Status::queued) ++queued;
        }
        std::array<double, 3> load{};
        ::getloadavg(load.data(), 3);
        std::time_t now = std::time(nullptr);
        std::tm parts{};
        char clock[16] = "";
        if (::localtime_r(&now, &parts) != nullptr) std::strftime(clock, sizeof clock, "%H:%M:%S", &parts);
        return fmt::format("{}  {} running, {} queued  load {:.2f}  {}", workspace_.store.dir().string(), running,
                           queued, load[0], clock);
    }

    Workspace workspace_;
    std::unique_ptr<Index> index_;
    Meter meter_;
    Clock::time_point recover_at_{};
};

// The terminal while it shows the view: the other screen, without echo, and as it was whatever ends this.
class Screen {
public:
    Screen() {
        ::tcgetattr(STDIN_FILENO, &before_);
        enter();
    }
    ~Screen() { leave(); }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    void enter() {
        termios raw = before_;
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        write_all(STDOUT_FILENO, "\033[?1049h\033[?25l\033[2J");
    }
    void leave() {
        write_all(STDOUT_FILENO, "\033[?25h\033[?1049l");
        ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    void show(const TopState& state) const {
        std::string text = "\033[H";
        bool first = true;
        for (const auto& line : draw(state, columns(), lines(), stdout_terminal())) {
            text += (first ? "" : "\r\n") + line + "\033[K";
            first = false;
        }
        write_all(STDOUT_FILENO, text + "\033[J");
    }
    std::size_t lines() const { return window().ws_row > 0 ? window().ws_row : 24; }
    std::size_t columns() const { return window().ws_col > 0 ? window().ws_col : 80; }

private:
    static winsize window() {
        winsize size{};
        ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        return size;
    }
    termios before_{};
};

// As `poster stop`, in a process of its own: the view goes on.
void stop_in_background(const std::string& id, const Workspace& workspace) {
    if (::fork() != 0) return;
    set_to_null({0, 1, 2});
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    try {
        StopArguments arguments;
        arguments.runs = {id};
        arguments.store = workspace.store.dir().string();
        ::_exit(stop_runs(arguments));
    } catch (const std::exception&) {
        ::_exit(1);
    }
}

class Top {
public:
    Top(Observer& observer, TopState state, Milliseconds interval)
        : observer_(observer), state_(std::move(state)), interval_(interval) {
        ::sigemptyset(&signals_);
        for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGCHLD})
            ::sigaddset(&signals_, signal);
        ::sigprocmask(SIG_BLOCK, &signals_, nullptr);
        signal_fd_ =
            Fd(check_syscall("open a signal descriptor", ::signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK)));
    }

    int run() {
        std::optional<Screen> screen(std::in_place);
        auto look_at = Clock::now() + interval_;
        while (!over_) {
            screen->show(state_);
            std::array<pollfd, 2> polled{{{signal_fd_.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
            auto left = std::chrono::ceil<Milliseconds>(look_at - Clock::now()).count();
            ::poll(polled.data(), polled.size(), int(std::max<long>(0, left)));
            read_signals(*screen);
            if (polled[1].revents != 0) read_keys(*screen);
            if (!look_now_ && Clock::now() < look_at) continue;
            look_now_ = false;
            observer_.look(state_);
            look_at = Clock::now() + interval_;
        }
        screen.reset();
        return died_of_ ? die(*died_of_) : 0;
    }

private:
    void read_signals(Screen& screen) {
        signalfd_siginfo info{};
        while (::read(signal_fd_.get(), &info, sizeof info) == sizeof info) {
            int signal = int(info.ssi_signo);
            if (signal == SIGWINCH) continue; // drawn anew in any case
            if (signal == SIGCHLD) {
                while (::waitpid(-1, nullptr, WNOHANG) > 0) {
                }
                continue;
            }
            if (signal == SIGTSTP) {
                screen.leave();
                ::raise(SIGSTOP);
                screen.enter();
                look_now_ = true;
                continue;
            }
            over_ = true;
            if (signal != SIGINT) died_of_ = signal; // Ctrl-C is one way to quit
        }
    }

    void read_keys(const Screen& screen) {
        std::array<char, 256> buffer;
        ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (got <= 0) { // the terminal has gone
            over_ = true;
            return;
        }
        for (std::string_view bytes(buffer.data(), std::size_t(got)); !bytes.empty();)
            act(press(state_, take_key(bytes), screen.lines()));
    }

    void act(TopMove move) {
        if (move == TopMove::quit) over_ = true;
        if (move == TopMove::look_again) look_now_ = true;
        if (move != TopMove::stop_selected || state_.selected.empty()) return;
        stop_in_background(state_.selected, observer_.workspace());
        state_.message = "stopping " + state_.selected;
    }

    int die(int signal) const {
        ::signal(signal, SIG_DFL);
        ::sigprocmask(SIG_UNBLOCK, &signals_, nullptr);
        ::raise(signal);
        return 128 + signal;
    }

    Observer& observer_;
    TopState state_;
    Milliseconds interval_;
    sigset_t signals_{};
    Fd signal_fd_;
    std::optional<int> died_of_;
    bool over_ = false, look_now_ = false;
};

json number_or_null(const auto& value) {
    return value ? json(*value) : json();
}

void print_snapshot(const TopState& state, bool as_json) {
    if (as_json) {
        nlohmann::ordered_json all = nlohmann::ordered_json::array();
        for (const auto& row : state.rows)
            all.push_back({{"id", row.id},
                           {"name", row.name},
                           {"status", to_string(row.status)},
                           {"host", row.host},
                           {"seconds", number_or_null(row.seconds)},
                           {"cpu_percent", number_or_null(row.cpu_percent)},
                           {"memory_bytes", number_or_null(row.memory_bytes)},
                           {"gpu_percent", number_or_null(row.gpu_percent)},
                           {"gpu_memory_bytes", number_or_null(row.gpu_memory_bytes)},
                           {"last_line", row.last_line}});
        return print_out(all.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
    }
    std::string text;
    constexpr std::size_t kColumns = 120;
    auto picture = draw(state, kColumns, state.rows.size() + 3, {});
    picture.pop_back(); // the keys
    for (auto& line : picture) {
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    print_out(text);
}

} // namespace

int show_top(const TopArguments& arguments) {
    Observer observer(arguments.store);
    TopState state;
    if (!observer.look(state)) {
        say(no_store_message(observer.workspace()));
        if (arguments.json) print_out("[]\n");
        return 0;
    }
    bool terminal = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
    if (!terminal || arguments.json) {
        ::poll(nullptr, 0, int(Milliseconds(kSnapshot).count()));
        observer.look(state);
        print_snapshot(state, arguments.json);
        return 0;
    }
    auto interval = arguments.interval ? parse_duration(*arguments.interval).value_or(1s) : Milliseconds(1s);
    return Top(observer, std::move(state), std::max(interval, Milliseconds(50))).run();
}

} // namespace poster
