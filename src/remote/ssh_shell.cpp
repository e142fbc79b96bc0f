#include "ssh_shell.hpp"

#include <chrono>
#include <random>

#include <fmt/format.h>

#include <error.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr int kTurnMs = 100;
constexpr int kPatienceMs = 20'000; // with the first words of a login
constexpr int kForever = -1;        // ssh itself sees that a connection is dead
constexpr std::uint64_t kLarge = 4 << 20;
constexpr std::size_t kDigits = 64;
constexpr std::uint64_t kMegabyte = 1 << 20;
constexpr std::uint64_t kFedAtOnce = 16; // megabytes
constexpr std::string_view kListens = "=listens\n";

// Hashes a file that grows as that loop does, and with half the work: nothing goes through a pipe.
constexpr std::string_view kHashesGrowing = R"(
import hashlib, sys
print("=listens", flush=True)
digest, block = hashlib.sha256(), memoryview(bytearray(1 << 18))
with open(sys.argv[1], "rb", 0) as file:
    for line in iter(sys.stdin.readline, "end\n"):
        left = int(line.split()[1]) << 20
        got = 1
        while left > 0 and got > 0:
            got = file.readinto(block[:left])
            digest.update(block[:got])
            left -= got
print(digest.hexdigest())
)";

// The digits at the beginning of a line; empty: there are none.
std::string digits_of(std::string_view line) {
    if (line.starts_with('\\')) line.remove_prefix(1); // the name behind it is escaped
    line = line.substr(0, kDigits);
    const bool hash = line.size() == kDigits && line.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    return hash ? std::string{line} : std::string{};
}

} // namespace

SshShell::SshShell(std::unique_ptr<ChildProcess> program, std::function<void()> check)
    : program_(std::move(program)), check_(std::move(check)) {
    std::random_device random;
    end_mark_ = fmt::format("\nposter {:08x}{:08x}\n", random(), random());
    start("LC_ALL=C; export LC_ALL\n"
          "for p in openssl sha256sum shasum sha256 python3; do command -v $p >/dev/null 2>&1 && echo =$p; done");
}

bool SshShell::usable() {
    if (!learnt_) learn_programs();
    return usable_;
}

bool SshShell::has_answered() {
    if (!learnt_) move(0);
    return learnt_ || !open_ || has_ended();
}

void SshShell::learn_programs() {
    learnt_ = true;
    const auto found = await(kPatienceMs);
    if (!found) return;
    const std::string listed = "\n" + *found + "\n"; // a login may have printed more
    const auto has = [&](std::string_view name) {
        return listed.find(fmt::format("\n={}\n", name)) != std::string::npos;
    };
    if (has("sha256sum"))
        many_ = "sha256sum";
    else if (has("shasum"))
        many_ = "shasum -a 256";
    else if (has("sha256"))
        one_ = "sha256 -q";
    if (has("openssl")) // it knows the instructions that processors have for this
        one_ = "openssl dgst -sha256 -r";
    else if (!many_.empty())
        one_ = many_;
    usable_ = !one_.empty();
    python_ = has("python3");
}

std::optional<std::string> SshShell::run(const std::string& script, int patience_ms) {
    start(script);
    return await(patience_ms);
}

// In braces: the shell has read all of it before it begins, and what a command in it reads is what is typed after.
void SshShell::start(const std::string& script) {
    typed_.clear();
    typed_.add(fmt::format("{{\n{}\nprintf '\\n%s\\n' '{}'\n}}\n", script,
                           std::string_view(end_mark_).substr(1, end_mark_.size() - 2)));
    printed_.clear();
    move(0);
}

void SshShell::move(int timeout_ms) {
    if (open_) open_ = program_->exchange(typed_, printed_, timeout_ms);
}

std::optional<std::string> SshShell::await(int patience_ms) {
    const auto begun = std::chrono::steady_clock::now();
    for (;;) {
        check_();
        if (has_ended()) return printed_.substr(0, printed_.find(end_mark_));
        const bool late =
            patience_ms >= 0 && std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(patience_ms);
        if (!open_ || late) {
            usable_ = false;
            return {};
        }
        move(kTurnMs);
    }
}

// It is told how far it can read, a line each time: first megabyte, and how many.
void SshShell::hash_as_it_grows(const std::string& path) {
    grown_ = fed_ = 0;
    if (python_) return start(fmt::format("python3 -c '{}' {}", kHashesGrowing, shell_quote(path)));
    start(fmt::format("{{ echo {}while read -r n c && [ \"$n\" != end ]; do\n"
                      "dd if={} bs={} skip=$n count=$c 2>/dev/null </dev/null\n"
                      "done | {}; }}",
                      kListens, shell_quote(path), kMegabyte, one_));
}

void SshShell::has_grown_to(std::uint64_t bytes) {
    grown_ = bytes / kMegabyte;
    if (grown_ - fed_ < kFedAtOnce) return;
    if (!listens()) move(0);
    if (listens()) feed();
}

bool SshShell::listens() const {
    return printed_.find(kListens) != std::string::npos && !has_ended();
}

void SshShell::feed() {
    typed_.add(fmt::format("{} {}\n", fed_, grown_ - fed_));
    fed_ = grown_;
    move(0);
}

std::string SshShell::hash_of_grown() {
    while (open_ && !listens() && !has_ended()) {
        check_();
        move(kTurnMs);
    }
    if (listens()) {
        ++grown_; // what is behind the last whole one
        feed();
        typed_.add("end\n");
    }
    const auto printed = await(kForever);
    const auto lines = split(printed.value_or(""), '\n');
    return lines.empty() ? "" : digits_of(lines.back());
}

std::vector<std::string> SshShell::hashes(const std::vector<Piece>& pieces) {
    std::vector<std::string> found(pieces.size());
    if (pieces.empty() || !usable()) return found;
    if (!many_.empty()) hash_together(pieces, found);
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < pieces.size(); ++i)
        if (found[i].empty()) others.push_back(i);
    if (!others.empty()) hash_alone(pieces, others, found);
    return found;
}

void SshShell::begin_parts(const std::vector<Basis>& parts) {
    if (parts.empty() || !usable()) return;
    std::string script;
    for (const auto& part : parts)
        script += fmt::format(
            "set -- {0}*\nif [ -f \"$1\" ]; then cp \"$1\" {1}; rm -f \"$@\"; elif [ -f {2} ]; then cp {2} {1}; "
            "fi </dev/null >/dev/null 2>&1\n",
            shell_quote(part.left), shell_quote(part.part), shell_quote(part.target));
    run(script, kForever);
}

// All small ones by one program: a thousand would take longer to start than to run.
void SshShell::hash_together(const std::vector<Piece>& pieces, std::vector<std::string>& found) {
    std::string script = many_;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        if (pieces[i].beginning || pieces[i].bytes >= kLarge) continue;
        script += " " + shell_quote(pieces[i].path);
        which.push_back(i);
    }
    if (which.empty() || !usable_) return;
    const auto printed = run(script + " </dev/null 2>/dev/null", kForever);
    if (!printed) return;
    const auto lines = split(*printed, '\n');
    if (lines.size() != which.size()) return; // some are missing: nobody knows which
    for (std::size_t i = 0; i < which.size(); ++i) found[which[i]] = digits_of(lines[i]);
}

void SshShell::hash_alone(const std::vector<Piece>& pieces, const std::vector<std::size_t>& which,
                          std::vector<std::string>& found) {
    if (!usable_) return;
    std::string script;
    for (const std::size_t i : which) {
        const std::string path = shell_quote(pieces[i].path);
        script += pieces[i].beginning ? fmt::format("head -c {} <{} 2>/dev/null | {}", pieces[i].bytes, path, one_)
                                      : fmt::format("{{ {} <{}; }} 2>/dev/null || echo -", one_, path);
        script += "\n";
    }
    const auto printed = run(script, kForever);
    if (!printed) return;
    const auto lines = split(*printed, '\n');
    if (lines.size() != which.size()) return;
    for (std::size_t i = 0; i < which.size(); ++i) found[which[i]] = digits_of(lines[i]);
}

} // namespace poster
