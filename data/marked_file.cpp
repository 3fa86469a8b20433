#include "data/marked_file.h"

#include "data/files/output_mark.h"

namespace retape::data {

void commit_with_mark(AtomicFile& file, std::string_view command) {
  file.sync();
  AtomicFile mark(mark_beside(file.path()));
  mark.write(mark_text(file.temporary(), command));
  mark.commit();
  file.commit();
}

}  // namespace retape::data
