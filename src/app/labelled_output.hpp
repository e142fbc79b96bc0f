#pragma once
// What parallel runs print, line by line, each with its run's label in front; and below it the line of progress.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>

#include <fd.hpp>
#include <output.hpp>

namespace poster {

class LabelledOutput {
public:
    LabelledOutput();

    // What a run is to have as its descriptors 1 and 2; the same one twice where both go to the same place.
    struct Ends {
        Fd out, err;
        int err_or_out() const { return err ? err.get() : out.get(); }
    };
    Ends open(int job, const std::string& label); // throws Error
    void end(int job);                            // what is left of it is written, also without a newline

    void add_to(std::vector<pollfd>& polled) const;
    void pump(const std::vector<pollfd>& polled); // finds its own among them
    void flush(int timeout_ms);

    void say(const std::string& line);           // poster's own, on stderr
    void show_progress(const std::string& text); // redrawn in place on a terminal; empty: none

private:
    struct Source {
        int job = 0;
        std::string label;
        Fd read_end;
        bool to_stderr = false;
        std::string line;
    };
    void read(Source& source);
    void take(Source& source, std::string_view bytes);
    void put_line(Source& source);
    void put(bool to_stderr, std::string_view text);

    bool same_place_, stderr_is_terminal_;
    Sink out_, err_;
    std::vector<std::unique_ptr<Source>> sources_;
    std::string progress_;
};

} // namespace poster
