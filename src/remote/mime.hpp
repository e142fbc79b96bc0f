#pragma once
// A mail as the net wants it (RFC 5322, 2045–2047, 2231, 3834): 7 bits, short lines, CR LF.

#include <string>
#include <string_view>
#include <vector>

#include <poster/run.hpp>

namespace poster {

struct MailAttachment {
    std::string name, type, content; // name: in UTF-8, without folders
};

struct MailText {
    std::string from; // "anna@example.org" or "Anna <anna@example.org>"
    std::vector<std::string> to;
    std::string subject;
    std::string message_id; // "<…@…>"
    std::string thread;     // the id that the mails of one run answer to; empty: none
    WallTime date{};
    std::string text, html; // in UTF-8
    std::vector<MailAttachment> attachments;
};

// Header and body. Throws Error for an address or a header that could smuggle in another.
std::string mime_message(const MailText& mail);
// "anna@example.org" of "Anna <anna@example.org>". Throws Error for what is none.
std::string mail_address(std::string_view mailbox);
// "<HASH@DOMAIN>": the same for the same words.
std::string message_id_of(std::string_view words, std::string_view from);

// RFC 2047, folded to lines of at most 75 characters; `name_length`: of "Subject: ", which stands before it.
std::string encode_header(std::string_view text, std::size_t name_length);
std::string quoted_printable(std::string_view text);
std::string base64(std::string_view bytes); // in lines of 76

} // namespace poster
