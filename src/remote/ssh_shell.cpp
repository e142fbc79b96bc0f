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
    find_programs();
}

void SshShell::find_programs() {
    const auto found =
        run("LC_ALL=C; export LC_ALL\n"
            "for p in openssl sha256sum shasum sha256; do command -v $p >/dev/null 2>&1 && echo =$p; done",
            kPatienceMs);
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
}

std::optional<std::string> SshShell::run(const std::string& script, int patience_ms) {
    start(script);
    return await(patience_ms);
}

void SshShell::start(const std::string& script) {
    const std::string words = fmt::format("{}\nprintf '\\n%s\\n' '{}'\n", script,
                                          std::string_view(end_mark_).substr(1, end_mark_.size() - 2));
    printed_.clear();
    open_ = true;
    for (std::string_view rest = words; !rest.empty() && open_;) {
        check_();
        open_ = program_->exchange(rest, printed_, kTurnMs);
    }
}

std::optional<std::string> SshShell::await(int patience_ms) {
    const auto begun = std::chrono::steady_clock::now();
    for (std::string_view nothing;;) {
        check_();
        if (const std::size_t end = printed_.find(end_mark_); end != std::string::npos) return printed_.substr(0, end);
        const bool late =
            patience_ms >= 0 && std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(patience_ms);
        if (!open_ || late) {
            usable_ = false;
            return {};
        }
        open_ = program_->exchange(nothing, printed_, kTurnMs);
    }
}

// A tenth of a second behind the transfer. It ends by itself when the file has not grown for a minute, as nobody tells
// it that the connection is gone.
void SshShell::hash_as_it_grows(const Piece& piece) {
    const std::string path = shell_quote(piece.path);
    start(fmt::format("( n=0; i=0; while [ $i -lt 600 ]; do\n"
                      "b=$(stat -c %s {0} 2>/dev/null || wc -c <{0}) || exit 1; s=$((b / 1048576))\n"
                      "if [ $b -ge {1} ]; then dd if={0} bs=1048576 skip=$n 2>/dev/null; exit; fi\n"
                      "if [ $s -gt $n ]; then dd if={0} bs=1048576 skip=$n count=$((s - n)) 2>/dev/null || exit 1\n"
                      "n=$s; i=0; fi\n"
                      "sleep 0.1 || exit 1; i=$((i + 1)); done ) </dev/null 2>/dev/null | {2}",
                      path, piece.bytes, one_));
}

std::string SshShell::hash_of_grown() {
    const auto printed = await(kForever);
    const auto lines = split(printed.value_or(""), '\n');
    return lines.empty() ? "" : digits_of(lines.back());
}

std::vector<std::string> SshShell::hashes(const std::vector<Piece>& pieces) {
    std::vector<std::string> found(pieces.size());
    if (!many_.empty()) hash_together(pieces, found);
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < pieces.size(); ++i)
        if (found[i].empty()) others.push_back(i);
    if (!others.empty()) hash_alone(pieces, others, found);
    return found;
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

void SshShell::flush(const std::vector<std::string>& folders) {
    if (!usable_ || folders.empty()) return;
    std::string script = "sync";
    for (const auto& folder : folders) script += " " + shell_quote(folder);
    run(script + " >/dev/null 2>&1 </dev/null", kForever);
}

} // namespace poster
