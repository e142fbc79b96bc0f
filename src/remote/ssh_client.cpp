#include "ssh_client.hpp"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include <error.hpp>
#include <subprocess.hpp>
#include <text.hpp>

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::milliseconds(20'000); // with ssh -G, which may run programs of the user's
constexpr std::string_view kOurFolder = "poster-ssh-";
constexpr std::size_t kLongestPlace = 60; // of a socket's 107, together with the names below it and what ssh adds

bool aes_is_fast() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#else
    return false;
#endif
}

// "key value" a line, as `ssh -G` prints what is configured.
std::map<std::string, std::string> effective_configuration(const std::vector<std::string>& command) {
    std::map<std::string, std::string> found;
    for (const auto& line : split(run_command(command, {}, {kPatience}).output, '\n'))
        if (const std::size_t space = line.find(' '); space != std::string::npos)
            found.emplace(line.substr(0, space), line.substr(space + 1));
    return found;
}

fs::path place_for_sockets() {
    const char* given = ::getenv("XDG_RUNTIME_DIR");
    if (given != nullptr && *given == '/' && fs::path(given).native().size() <= kLongestPlace &&
        ::access(given, W_OK | X_OK) == 0)
        return given;
    return "/tmp";
}

// Those of processes that are gone: a killed one cannot remove its own.
void remove_old_folders(const fs::path& place) {
    std::error_code failure;
    for (fs::directory_iterator entry(place, failure); !failure && entry != fs::directory_iterator();
         entry.increment(failure)) {
        const std::string name = entry->path().filename().native();
        if (!name.starts_with(kOurFolder)) continue;
        const int pid = std::atoi(name.c_str() + kOurFolder.size());
        struct stat facts{};
        if (pid <= 0 || ::lstat(entry->path().c_str(), &facts) != 0 || facts.st_uid != ::getuid()) continue;
        std::error_code ignored;
        if (::kill(pid, 0) != 0 && errno == ESRCH) fs::remove_all(entry->path(), ignored);
    }
}

bool holds(const std::string& text, std::string_view words) {
    return text.find(words) != std::string::npos;
}

// The line that tells most: the last one that is not about the end of the connection alone.
std::string telling_line(const std::string& errors) {
    std::string best;
    for (auto line : split(errors, '\n')) {
        while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.pop_back();
        const bool adds_nothing = line.empty() || line.starts_with("@@") || line.starts_with("Warning: ") ||
                                  line.starts_with("Connection closed.");
        if (!adds_nothing) best = line;
    }
    constexpr std::size_t kMost = 300;
    return in_a_line(best, kMost);
}

} // namespace

SshClient::SshClient(SshDestination to, fs::path config) : to_(std::move(to)), config_(std::move(config)) {}

SshClient::~SshClient() {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

std::vector<std::string> SshClient::command() {
    auto words = command_alone();
    for (auto& word : with_control("no")) words.push_back(std::move(word));
    return words;
}

std::vector<std::string> SshClient::command_alone() {
    learn();
    std::vector<std::string> words{"ssh"};
    if (!config_.empty()) words.insert(words.end(), {"-F", config_.native()});
    if (!to_.port.empty()) words.insert(words.end(), {"-p", to_.port});
    words.insert(words.end(), options_.begin(), options_.end());
    return words;
}

// What the user has not configured himself gets values of ours.
void SshClient::learn() {
    if (learnt_) return;
    learnt_ = true;
    std::vector<std::string> ask{"ssh", "-G"};
    if (!config_.empty()) ask.insert(ask.end(), {"-F", config_.native()});
    if (!to_.port.empty()) ask.insert(ask.end(), {"-p", to_.port});
    ask.push_back(to_.host);
    auto configured = effective_configuration(ask);
    const auto set = [&](const std::string& option) { options_.insert(options_.end(), {"-o", option}); };
    for (const char* option : {"BatchMode=yes", "LogLevel=INFO", "RequestTTY=no", "RemoteCommand=none",
                               "ClearAllForwardings=yes", "ForwardAgent=no", "ForwardX11=no"})
        set(option);
    const std::string& alive = configured["serveraliveinterval"];
    if (alive.empty() || alive == "0") {
        set("ServerAliveInterval=15");
        set("ServerAliveCountMax=3");
    }
    const std::string& patience = configured["connecttimeout"];
    if (patience.empty() || patience == "none" || patience == "0") set("ConnectTimeout=20");
    // OpenSSH's first choice takes several times the processor time of AES where the processor knows that.
    const std::string& ciphers = configured["ciphers"];
    if (ciphers.starts_with("chacha20") && aes_is_fast() &&
        effective_configuration({"ssh", "-F", "none", "-G", "localhost"})["ciphers"] == ciphers)
        set("Ciphers=aes128-gcm@openssh.com,aes256-gcm@openssh.com," + ciphers); // "^" is not known before 8.1
    const std::string& socket = configured["controlpath"];
    shares_ = socket.empty() || socket == "none";
}

void SshClient::make_control_dir() {
    if (!shares_) return;
    try {
        folder();
    } catch (const Error&) { // every program logs in by itself
        shares_ = false;
    }
}

fs::path SshClient::folder() {
    if (!folder_.empty()) return folder_;
    const fs::path place = place_for_sockets();
    remove_old_folders(place);
    std::string name = (place / fmt::format("{}{}-XXXXXX", kOurFolder, ::getpid())).native();
    if (::mkdtemp(name.data()) == nullptr) throw_errno("make a folder in " + place.native(), errno);
    return folder_ = name;
}

std::vector<std::string> SshClient::with_control(const char* master) const {
    if (!shares_) return {};
    const std::string path = (folder_ / std::to_string(connections_)).native();
    return {"-o", std::string{"ControlMaster="} + master, "-o", "ControlPath=" + path, "-o", "ControlPersist=no"};
}

std::unique_ptr<ChildProcess> SshClient::start_sftp() {
    auto words = command_alone();
    make_control_dir();
    ++connections_;
    for (const auto& word : with_control("yes")) words.push_back(word);
    words.insert(words.end(), {"-s", "--", to_.host, "sftp"});
    return std::make_unique<ChildProcess>(words);
}

std::unique_ptr<ChildProcess> SshClient::start_shell() {
    auto words = command();
    words.insert(words.end(), {"--", to_.host, "sh"});
    return std::make_unique<ChildProcess>(words);
}

Delivery explain_ssh(int exit_code, const std::string& errors, const std::string& host) {
    const std::string line = telling_line(errors);
    const std::string by_hand = "ssh " + host;
    if (holds(errors, "IDENTIFICATION HAS CHANGED") || holds(errors, "POSSIBLE DNS SPOOFING"))
        return Delivery::permanent(
            host + ": the host key has changed",
            "somebody may be listening in. If the host was set up anew: ssh-keygen -R HOST, then " + by_hand);
    if (holds(errors, "Host key verification failed") || holds(errors, "host key is known"))
        return Delivery::permanent(host + ": the host key is not known",
                                   "log in once by hand and compare it: " + by_hand);
    if (holds(errors, "Permission denied") || holds(errors, "Too many authentication failures"))
        return Delivery::permanent(host + ": " + line,
                                   "a login without questions must work, by a key or an agent: ssh -o BatchMode=yes " +
                                       host + " true");
    if (holds(errors, "subsystem request failed"))
        return Delivery::permanent(host + " offers no SFTP", "its sshd_config needs: Subsystem sftp internal-sftp");
    for (const char* wrong :
         {"Bad configuration option", "Can't open user config file", "terminating, ", "Bad owner or permissions",
          "hostname contains invalid characters", "remote username contains invalid characters"})
        if (holds(errors, wrong)) return Delivery::permanent("ssh: " + line, "try: " + by_hand);
    if (!line.empty()) return Delivery::passing(host + ": " + line);
    return Delivery::passing(fmt::format("{}: the connection was lost (ssh ended with {})", host, exit_code));
}

} // namespace poster
