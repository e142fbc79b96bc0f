#include "ssh_destination.hpp"

#include <algorithm>

#include <error.hpp>
#include <text.hpp>

namespace poster {

namespace {

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw UsageError("scp.to = " + shell_quote(text) + ": " + why,
                     "user@host:/path, an alias of ~/.ssh/config, or ssh://user@host:22/path");
}

// ssh puts host and user into the commands that a configuration names (ProxyCommand), which a shell reads.
bool is_plain(std::string_view host) {
    constexpr std::string_view kOfShells = " \t\"'`$&;|<>(){}\\*?!#~^";
    return std::all_of(host.begin(), host.end(), [&](char c) {
        return static_cast<unsigned char>(c) > ' ' && c != '\x7f' && kOfShells.find(c) == std::string_view::npos;
    });
}

// Cuts "[user@]host" off the beginning, up to the first of `ends` that is not within the brackets of an IPv6 address.
std::string take_host(std::string_view& rest, std::string_view ends) {
    const std::size_t at = rest.find('@');
    const std::size_t begin = at == std::string_view::npos || at > rest.find_first_of(ends) ? 0 : at + 1;
    const std::string user{rest.substr(0, begin)};
    rest.remove_prefix(begin);
    std::string host;
    if (rest.starts_with('[') && rest.find(']') != std::string_view::npos) {
        host = rest.substr(1, rest.find(']') - 1);
        rest.remove_prefix(rest.find(']') + 1);
    } else {
        host = rest.substr(0, rest.find_first_of(ends));
        rest.remove_prefix(host.size());
    }
    return host.empty() ? host : user + host;
}

std::string tidy_path(std::string_view path) {
    if (path == "~" || path == "~/") return ".";
    if (path.starts_with("~/")) path.remove_prefix(2);
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path.empty() ? "." : std::string{path};
}

SshDestination parse_url(std::string_view text) {
    SshDestination to;
    std::string_view rest = text.substr(text.find("://") + 3);
    to.host = take_host(rest, ":/");
    if (rest.starts_with(':')) {
        to.port = rest.substr(1, rest.find('/') - 1);
        rest.remove_prefix(1 + to.port.size());
        if (to.port.empty() || to.port.size() > 5 || to.port.find_first_not_of("0123456789") != std::string::npos)
            refuse(text, "the port is no number");
    }
    to.path = tidy_path(rest.starts_with("/~") ? rest.substr(1) : rest);
    return to;
}

} // namespace

std::string SshDestination::url() const {
    const std::size_t at = host.find('@') + 1;
    const bool brackets = host.find(':') != std::string::npos;
    const std::string shown = brackets ? host.substr(0, at) + "[" + host.substr(at) + "]" : host;
    const std::string place = path.starts_with('/') ? path : path == "." ? "/~" : "/~/" + path;
    return "scp://" + shown + (port.empty() ? "" : ":" + port) + place;
}

SshDestination parse_ssh_destination(std::string_view text) {
    const bool is_url = text.starts_with("ssh://") || text.starts_with("scp://") || text.starts_with("sftp://");
    SshDestination to;
    if (is_url) {
        to = parse_url(text);
    } else {
        std::string_view rest = text;
        to.host = take_host(rest, ":");
        if (!rest.empty() && !rest.starts_with(':')) refuse(text, "that is no host");
        to.path = tidy_path(rest.empty() ? rest : rest.substr(1));
    }
    if (to.host.empty()) refuse(text, "there is no host in it");
    if (to.host.starts_with('-') || to.host.find("@-") != std::string::npos) refuse(text, "a host begins with no '-'");
    if (!is_plain(to.host)) refuse(text, "that is no host");
    if (to.path.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos)
        refuse(text, "there is a line break in the path");
    return to;
}

} // namespace poster
