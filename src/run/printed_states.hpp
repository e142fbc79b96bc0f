#pragma once
// What a program printed, as the texts that one after the other stood in a line: the line itself where it was written
// once, each state of a progress bar that was drawn with carriage returns, backspaces or cursor moves.
//
// Colours and other escape sequences are taken out. A text is cut at 64 KiB. Time and memory are linear in the input.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace poster {

class PrintedStates {
public:
    struct State {
        std::string_view text;
        std::int64_t time_ms = 0; // of its last byte
        bool final = true;        // false: something was, or may be, written over it
    };
    using Sink = std::function<void(const State&)>;
    static constexpr std::size_t kLongest = 64UL * 1024;

    explicit PrintedStates(Sink sink) : sink_(std::move(sink)) {}
    void feed(std::string_view bytes, std::int64_t time_ms);
    void finish(); // the last line, which had no newline

private:
    enum class Mode { text, escape, charset, csi, string, string_escape };

    void append(std::string_view text);
    void hand_on(bool final);
    void control(char byte);
    void take_sequence(char byte);

    Sink sink_;
    Mode mode_ = Mode::text;
    std::string text_;
    std::size_t sequence_length_ = 0;
    std::int64_t time_ms_ = 0;
    bool returned_ = false; // the cursor went to the left; whether that was the end of the line shows the next byte
};

} // namespace poster
