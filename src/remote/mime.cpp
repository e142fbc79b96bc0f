#include "mime.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/format.h>

#include <base64.hpp>
#include <characters.hpp>
#include <error.hpp>
#include <sha256.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::size_t kLine = 76;        // of encoded text
constexpr std::size_t kEncodedWord = 75; // RFC 2047
constexpr std::string_view kWordBegin = "=?UTF-8?B?", kWordEnd = "?=";
constexpr std::size_t kHashed = 32;

bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return is_plain(static_cast<unsigned char>(c)); });
}

void refuse_controls(std::string_view text, const std::string& what) {
    const bool bad = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (bad) throw Error(what + " has a line break or another control character in it", "write it on one line");
}

// As many whole characters from the front as `bytes` hold; one at least.
std::string_view front(std::string_view utf8, std::size_t bytes) {
    std::size_t end = 0;
    while (end < utf8.size()) {
        const std::size_t next = std::min(utf8.size(), end + utf8_length(utf8[end]));
        if (next > bytes && end > 0) break;
        end = next;
    }
    return utf8.substr(0, end);
}

std::string hex(unsigned char c) {
    return fmt::format("{:02X}", c);
}

// "Tue, 25 Nov 2026 17:00:00 +0000", whatever the locale.
std::string date_text(WallTime time) {
    static constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} +0000", kDays.at(std::size_t(parts.tm_wday)), parts.tm_mday,
                       kMonths.at(std::size_t(parts.tm_mon)), parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                       parts.tm_sec);
}

// "Anna <anna@example.org>" with the name as a header may hold it.
std::string mailbox_text(std::string_view mailbox, std::size_t name_length) {
    std::string address = mail_address(mailbox);
    std::string_view name = mailbox.substr(0, mailbox.rfind('<') == std::string_view::npos ? 0 : mailbox.rfind('<'));
    while (name.ends_with(' ')) name.remove_suffix(1);
    while (name.starts_with(' ')) name.remove_prefix(1);
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
    if (name.empty()) return address;
    if (!is_ascii(name)) return fmt::format("{} <{}>", encode_header(name, name_length), address);
    std::string quoted = "\"";
    for (const char c : name) quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
    return fmt::format("{}\" <{}>", quoted, address);
}

// A parameter of a MIME header: as it is where it can be, else by RFC 2231 with a name for those that do not know it.
std::string parameter(const std::string& name, const std::string& value) {
    std::string plain, encoded;
    for (const unsigned char c : value) {
        plain += is_plain(c) && c != '"' && c != '\\' ? char(c) : '_';
        encoded += is_alnum(char(c)) || c == '.' || c == '-' || c == '_' ? std::string(1, char(c)) : "%" + hex(c);
    }
    std::string as_it_is = fmt::format(";\r\n {}=\"{}\"", name, plain);
    if (plain == value) return as_it_is;
    constexpr std::size_t kPiece = 60; // of a line
    if (encoded.size() <= kPiece) return fmt::format(";\r\n {}*=UTF-8''{}{}", name, encoded, as_it_is);
    std::string text;
    for (std::size_t begin = 0, number = 0; begin < encoded.size(); ++number) {
        std::size_t end = std::min(begin + kPiece, encoded.size());
        for (std::size_t back = 1; back <= 2 && end < encoded.size(); ++back) // not within %XX
            if (encoded[end - back] == '%') end -= back;
        text += fmt::format(";\r\n {}*{}*={}{}", name, number, number == 0 ? "UTF-8''" : "",
                            encoded.substr(begin, end - begin));
        begin = end;
    }
    return text + as_it_is; // the first that a program understands is the one it takes
}

std::string text_part(const std::string& type, std::string_view text) {
    return fmt::format("Content-Type: {}; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}", type,
                       quoted_printable(text));
}

std::string attachment_part(const MailAttachment& attachment) {
    return fmt::format("Content-Type: {}{}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment{}"
                       "\r\n\r\n{}",
                       attachment.type, parameter("name", attachment.name), parameter("filename", attachment.name),
                       base64(attachment.content));
}

// No line of an encoded text begins with "=_": the boundary is in no part.
std::string multipart(const std::string& kind, const std::string& boundary, const std::vector<std::string>& parts) {
    std::string text = fmt::format("Content-Type: multipart/{};\r\n boundary=\"{}\"\r\n\r\n", kind, boundary);
    for (const auto& part : parts) text += fmt::format("--{}\r\n{}\r\n", boundary, part);
    return text + fmt::format("--{}--\r\n", boundary);
}

std::string body_of(const MailText& mail) {
    const std::string mark = sha256_hex(mail.message_id).substr(0, kHashed);
    std::string body = text_part("text/plain", mail.text);
    if (!mail.html.empty()) body = multipart("alternative", "=_a" + mark, {body, text_part("text/html", mail.html)});
    if (mail.attachments.empty()) return body;
    std::vector<std::string> parts{body};
    for (const auto& attachment : mail.attachments) parts.push_back(attachment_part(attachment));
    return multipart("mixed", "=_m" + mark, parts);
}

} // namespace

std::string mail_address(std::string_view mailbox) {
    refuse_controls(mailbox, fmt::format("the address '{}'",
                                         shorten(valid_utf8(mailbox.substr(0, mailbox.find_first_of("\r\n"))), 60)));
    std::string_view address = mailbox;
    if (const auto open = mailbox.rfind('<'); open != std::string_view::npos) {
        if (!mailbox.ends_with('>'))
            address = "";
        else
            address = mailbox.substr(open + 1, mailbox.size() - open - 2);
    }
    const auto at = address.find('@');
    const bool plausible = at != std::string_view::npos && at > 0 && at + 1 < address.size() &&
                           address.find('@', at + 1) == std::string_view::npos && is_ascii(address) &&
                           address.find_first_of(" <>()[],;:\\\"") == std::string_view::npos;
    if (!plausible)
        throw Error(fmt::format("'{}' is no mail address", valid_utf8(mailbox)),
                    "for example anna@example.org or Anna <anna@example.org>");
    return std::string(address);
}

std::string message_id_of(std::string_view words, std::string_view from) {
    const std::string address = mail_address(from);
    return fmt::format("<poster.{}@{}>", sha256_hex(words).substr(0, kHashed), address.substr(address.find('@') + 1));
}

std::string encode_header(std::string_view text, std::size_t name_length) {
    if (is_ascii(text) && name_length + text.size() <= kEncodedWord && text.find("=?") == std::string_view::npos)
        return std::string(text);
    std::string encoded;
    std::size_t used = name_length;
    while (!text.empty()) {
        const std::size_t room = kEncodedWord - std::min(used, kEncodedWord / 2) - kWordBegin.size() - kWordEnd.size();
        const std::string_view piece = front(text, room / 4 * 3);
        if (!encoded.empty()) encoded += "\r\n ";
        encoded += fmt::format("{}{}{}", kWordBegin, to_base64(piece), kWordEnd);
        text.remove_prefix(piece.size());
        used = 1; // the blank that a folded line begins with
    }
    return encoded;
}

std::string quoted_printable(std::string_view text) {
    std::string encoded, line;
    const auto add = [&](const std::string& piece) {
        if (line.size() + piece.size() > kLine - 1) {
            encoded += line + "=" + std::string(kLineEnd);
            line.clear();
        }
        line += piece;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        const bool line_ends = i + 1 == text.size() || text[i + 1] == '\n' || text[i + 1] == '\r';
        if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        if (c == '\n') {
            encoded += line + std::string(kLineEnd);
            line.clear();
        } else if (c == '=' || (!is_plain(c) && c != '\t') || ((c == ' ' || c == '\t') && line_ends)) {
            add("=" + hex(c));
        } else {
            add(std::string(1, char(c)));
        }
    }
    return encoded + line + std::string(line.empty() ? "" : kLineEnd);
}

std::string base64(std::string_view bytes) {
    constexpr std::size_t kBytesOfLine = kLine / 4 * 3;
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += kBytesOfLine)
        text += to_base64(bytes.substr(i, kBytesOfLine)) + std::string(kLineEnd);
    return text;
}

std::string mime_message(const MailText& mail) {
    refuse_controls(mail.subject, "the subject");
    refuse_controls(mail.message_id + mail.thread, "the id of the mail");
    if (mail.to.empty()) throw Error("the mail has no recipient", "email.to names them");
    std::string header = fmt::format("Date: {}\r\nFrom: {}\r\n", date_text(mail.date),
                                     mailbox_text(mail.from, std::string_view("From: ").size()));
    header += "To: ";
    for (const auto& to : mail.to)
        header += (header.ends_with("To: ") ? "" : ",\r\n ") + mailbox_text(to, std::string_view("To: ").size());
    header += fmt::format("\r\nSubject: {}\r\n", encode_header(mail.subject, std::string_view("Subject: ").size()));
    header += fmt::format("Message-ID: {}\r\n", mail.message_id);
    if (!mail.thread.empty()) header += fmt::format("In-Reply-To: {0}\r\nReferences: {0}\r\n", mail.thread);
    header += "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n";
    return header + body_of(mail);
}

} // namespace poster
